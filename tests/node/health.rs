//! A gRPC health service (grpc.health.v1) in the trial's own process, on a port of this node.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// `ServingStatus.SERVING`.
pub const SERVING: u8 = 1;
/// `ServingStatus.NOT_SERVING`.
pub const NOT_SERVING: u8 = 2;

/// A request as it came: its path, its service and its headers.
pub type Asked = (String, String, HeaderMap);

/// The service; it answers for as long as the trials run.
#[derive(Clone)]
pub struct Health {
    /// Its port, on every address of this node.
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    statuses: BTreeMap<String, u8>,
    asked: Vec<Asked>,
}

impl Health {
    /// One that says of each service what is given.
    pub fn start(statuses: &[(&str, u8)]) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        listener.set_nonblocking(true).expect("not blocking");
        let health = Self {
            port: listener.local_addr().expect("an address").port(),
            state: Arc::default(),
        };
        for (service, status) in statuses {
            health.set(service, *status);
        }
        let served = health.clone();
        thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(served.serve(listener));
        });
        health
    }

    /// Changes what it says.
    pub fn set(&self, service: &str, status: u8) {
        let mut state = self.state.lock().expect("the state");
        state.statuses.insert(service.to_owned(), status);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("the state").asked.clone()
    }

    async fn serve(self, listener: TcpListener) {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            let health = self.clone();
            let answers = service_fn(move |request| health.clone().answer(request));
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answers);
            tokio::spawn(connection);
        }
    }

    /// One message each way: five bytes of length before it, the call's status behind it.
    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<
        Response<
            StreamBody<stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>>,
        >,
        Infallible,
    > {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        let body = body.unwrap_or_default();
        // The service is field 1, a string; the empty one is not sent.
        let service = body.get(7..).unwrap_or_default();
        let service = String::from_utf8_lossy(service).into_owned();
        let mut state = self.state.lock().expect("the state");
        let status = state.statuses.get(&service).copied();
        let path = head.uri.path().to_owned();
        state.asked.push((path, service, head.headers));
        let (message, code) = match status {
            Some(status) => (vec![0, 0, 0, 0, 2, 8, status], "0"),
            None => (Vec::new(), "5"),
        };
        let trailers = HeaderMap::from_iter([(
            "grpc-status".parse().expect("a name"),
            code.parse().expect("a value"),
        )]);
        let frames = [
            Ok(Frame::data(Bytes::from(message))),
            Ok(Frame::trailers(trailers)),
        ];
        let response = Response::builder()
            .header("content-type", "application/grpc")
            .body(StreamBody::new(stream::iter(frames)));
        Ok(response.expect("a response"))
    }
}
