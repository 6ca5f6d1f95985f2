//! The connections of the socket, within bounds: how long a request's head may take, how many
//! connections are open, and how many of them may go on for as long as the client likes.
//!
//! A new connection is always taken. Where there are too many, the one that has been without an
//! answer for longest gives way: half-sent requests cannot keep anybody out.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, error, warn};

use super::failure::Failure;

/// Connections that are open at once, those that go on included.
const OPEN: usize = 256;
/// Watches, logs and commands that go on at once.
const GOING_ON: usize = 128;
/// How long a request's head may take, and how long a connection stays open between requests.
const HEAD: Duration = Duration::from_secs(10);
/// The most of a request that is held while its head is read; a path is at most half of it.
const HEAD_BYTES: usize = 128 << 10;
/// Where no connection can be accepted, as without descriptors, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// One connection, as the bounds see it.
#[derive(Clone)]
pub(super) struct Connection {
    number: u64,
    shared: Arc<Shared>,
    /// Ends it.
    gives_way: CancellationToken,
}

/// That an answer may go on for as long as it is held.
pub(super) type Permit = Arc<OwnedSemaphorePermit>;

/// What a connection is doing.
enum Doing {
    /// No whole request has come yet, or no other after the last.
    Waiting,
    /// A request is being answered.
    Answering,
    /// The answer goes on until the client has enough.
    GoingOn(#[expect(dead_code, reason = "held until the connection does something else")] Permit),
}

struct Shared {
    /// In the order in which they began what they do.
    open: Mutex<Vec<(Connection, Doing)>>,
    going_on: Arc<Semaphore>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Vec<(Connection, Doing)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A new one; another gives way to it where there are too many.
    fn open(number: u64, shared: &Arc<Shared>) -> Self {
        let connection = Self {
            number,
            shared: Arc::clone(shared),
            gives_way: CancellationToken::new(),
        };
        let mut open = shared.open();
        if open.len() >= OPEN {
            let first = |wanted: fn(&Doing) -> bool| open.iter().position(|(_, d)| wanted(d));
            let waiting = first(|doing| matches!(doing, Doing::Waiting));
            let oldest = waiting.or_else(|| first(|doing| matches!(doing, Doing::Answering)));
            if let Some(oldest) = oldest {
                let (given_up, _) = open.remove(oldest);
                debug!("a connection without an answer gives way to a new one");
                given_up.gives_way.cancel();
            }
        }
        open.push((connection.clone(), Doing::Waiting));
        connection
    }

    fn does(&self, doing: Doing) {
        let mut open = self.shared.open();
        if let Some(at) = open.iter().position(|(c, _)| c.number == self.number) {
            let (connection, _) = open.remove(at);
            open.push((connection, doing));
        }
    }

    /// Lets the answer to its present request go on; as long as the connection does, and the permit
    /// is held.
    ///
    /// # Errors
    /// As many go on already as may.
    pub(super) fn goes_on(&self) -> Result<Permit, Failure> {
        let permit = Arc::clone(&self.shared.going_on).try_acquire_owned();
        let permit = Arc::new(permit.map_err(|_| {
            Failure::too_many(format!(
                "{GOING_ON} watches, logs and commands are open on the agent's socket, the most \
                 there may be; try again when one of them has ended"
            ))
        })?);
        self.does(Doing::GoingOn(Arc::clone(&permit)));
        Ok(permit)
    }
}

/// Takes a connection out of the list when it is over, however that comes.
struct Closes<'a>(&'a Connection);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        let mut open = self.0.shared.open();
        open.retain(|(c, _)| c.number != self.0.number);
    }
}

/// Serves every connection until the cancellation, and then those that are open to the end of their
/// requests.
pub(super) async fn serve(listener: UnixListener, router: Router, cancel: &CancellationToken) {
    let shared = Arc::new(Shared {
        open: Mutex::default(),
        going_on: Arc::new(Semaphore::new(GOING_ON)),
    });
    let mut number = 0;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                told(ended);
                continue;
            }
            () = cancel.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                number += 1;
                let connection = Connection::open(number, &shared);
                let (router, cancel) = (router.clone(), cancel.clone());
                connections.spawn(async move {
                    let _closes = Closes(&connection);
                    answer(stream, router, &connection, &cancel).await;
                });
            }
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                warn!("cannot accept a connection on the socket: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        told(ended);
    }
}

/// Whether the connection broke, and not the socket.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!("a request ended by a defect of setlet: {error}");
    }
}

/// Answers the requests of one connection.
async fn answer(
    stream: UnixStream,
    router: Router,
    connection: &Connection,
    cancel: &CancellationToken,
) {
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        connection.does(Doing::Answering);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let mut cancelled = false;
    loop {
        tokio::select! {
            // What breaks a connection is its client's affair.
            _ = &mut served => return,
            () = connection.gives_way.cancelled() => return,
            () = cancel.cancelled(), if !cancelled => {
                cancelled = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
