//! What goes on after its request was answered: the server's own task runs it, so that it ends with
//! the server and is never a task of its own.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::guard;

/// Sessions that may wait for the server to take them up.
const WAITING: usize = 16;

type Session = BoxFuture<'static, ()>;

/// Starts sessions.
#[derive(Clone)]
pub(super) struct Starter(mpsc::Sender<Session>);

/// Those that run.
pub(super) struct Sessions {
    started: mpsc::Receiver<Session>,
    running: FuturesUnordered<Session>,
}

/// No sessions yet, and who starts them.
pub(super) fn sessions() -> (Starter, Sessions) {
    let (starter, started) = mpsc::channel(WAITING);
    let running = FuturesUnordered::new();
    (Starter(starter), Sessions { started, running })
}

impl Starter {
    /// Starts a session. Once the server ends, it is dropped instead.
    pub(super) async fn start(&self, session: impl Future<Output = ()> + Send + 'static) {
        self.0.send(Box::pin(guard::session(session))).await.ok();
    }
}

impl Sessions {
    /// Runs sessions; after the cancellation, which they hear of themselves, those that are left.
    pub(super) async fn run(mut self, cancel: &CancellationToken) {
        loop {
            tokio::select! {
                Some(session) = self.started.recv() => self.running.push(session),
                Some(()) = self.running.next() => {}
                () = cancel.cancelled() => break,
            }
        }
        while self.running.next().await.is_some() {}
    }
}
