//! Asks the gRPC health service (`pkg/probe/grpc`, grpc.health.v1): only `SERVING` is success.
//!
//! Differs: no compression is accepted, and the user agent names another library after kubelet's.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::bounded::Bounded;
use super::http::{authority, innermost};
use crate::clock::After;
use crate::model::Answer;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus.SERVING`.
const SERVING: i32 = 1;

/// The longest time a server is told of; gRPC writes eight digits of hours.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The most bytes of an answer's headers.
const HEADERS: u32 = 64 << 10;

/// How long after a refused connection the next is tried.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks for as long as the timeout: a server that is not there yet is tried again until then. The
/// messages are those of kubelet's prober.
pub(super) async fn ask(host: &str, port: u16, service: &str, timeout: Duration) -> Answer {
    let (address, seconds) = (authority(host, port), timeout.as_secs());
    let deadline = Instant::now().after(timeout);
    let channel = match timeout_at(deadline, connect(&address)).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => {
            let why = innermost(&error);
            return Answer::Failure(format!(
                "error: failed to connect service at {address:?}: {why}"
            ));
        }
        Err(_) => {
            return Answer::Failure(format!(
                "timeout: failed to connect service {address:?} within {seconds}s: context deadline exceeded"
            ));
        }
    };
    let late = || {
        Answer::Failure(format!(
            "timeout: health rpc did not complete within {seconds}s"
        ))
    };
    match timeout_at(deadline, check(channel, service, deadline)).await {
        Ok(Ok(SERVING)) => Answer::Success,
        Ok(Ok(status)) => Answer::Failure(format!(
            "service unhealthy (responded with {:?})",
            word(status)
        )),
        Ok(Err(status)) => match status.code() {
            Code::DeadlineExceeded => late(),
            Code::Unimplemented => Answer::Failure(format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                status.message()
            )),
            code => Answer::Failure(format!(
                "error: health rpc probe failed: rpc error: code = {code:?} desc = {}",
                status.message()
            )),
        },
        Err(_) => late(),
    }
}

/// A connection, however often that takes. An address that cannot be one is an error at once.
async fn connect(address: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}"))?.user_agent("kube-probe/1.36")?;
    let endpoint = endpoint.http2_max_header_list_size(HEADERS);
    let address = address.to_owned();
    let connector = service_fn(move |_: Uri| {
        let address = address.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(Bounded::new(stream)))
        }
    });
    loop {
        match endpoint.connect_with_connector(connector.clone()).await {
            Ok(channel) => return Ok(channel),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn check(channel: Channel, service: &str, deadline: Instant) -> Result<i32, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    let broken = |error: tonic::transport::Error| Status::unavailable(innermost(&error));
    client.ready().await.map_err(broken)?;
    let mut request = tonic::Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let left = deadline.saturating_duration_since(Instant::now());
    #[expect(clippy::disallowed_methods, reason = "no longer than gRPC can say")]
    request.set_timeout(left.min(LONGEST));
    let codec: ProstCodec<HealthCheckRequest, HealthCheckResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let answer = client.unary(request, path, codec).await?;
    Ok(answer.into_inner().status)
}

fn word(status: i32) -> &'static str {
    match status {
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}
