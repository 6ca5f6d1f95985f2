//! The only place where tasks are started, so that none ends unseen.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// Workers are kept by `supervise`, beyond whose panics there is nothing to be done here: the agent
/// ends, and its next start finds every pod as it was.
fn fail_with(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// A worker, before it is made: it lives on the agent's thread, and who asks for it may not.
type Worker = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Starts workers.
pub struct Starter(mpsc::UnboundedSender<Worker>);

impl Starter {
    /// Starts a worker; after the agent was told to stop, nothing is started any more.
    pub fn start<W: Future<Output = ()> + 'static>(
        &self,
        worker: impl FnOnce() -> W + Send + 'static,
    ) {
        self.0.send(Box::new(|| Box::pin(worker()))).ok();
    }
}

/// The agent's tasks and the token that ends them.
pub struct Tasks {
    set: JoinSet<&'static str>,
    cancel: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            cancel,
        }
    }

    /// Starts a task. It is expected to end only after the token was cancelled.
    pub fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        let cancel = self.cancel.clone();
        self.set.spawn_local(async move {
            task.await;
            if !cancel.is_cancelled() {
                error!(task = name, "the task ended although the agent goes on");
            }
            name
        });
    }

    /// A handle by which the coordinator starts workers, which end one by one by themselves.
    #[must_use]
    pub fn starter(&mut self) -> Starter {
        let (requests, mut heard) = mpsc::unbounded_channel::<Worker>();
        let cancel = self.cancel.clone();
        self.start("workers", async move {
            let mut workers = JoinSet::new();
            loop {
                tokio::select! {
                    Some(worker) = heard.recv() => {
                        workers.spawn_local(worker());
                    }
                    Some(ended) = workers.join_next() => fail_with(ended),
                    () = cancel.cancelled() => break,
                }
            }
            while workers.join_next().await.is_some() {}
        });
        Starter(requests)
    }

    /// Waits for the next task to end; never ends while there is none.
    pub async fn next_end(&mut self) -> Result<&'static str, JoinError> {
        match self.set.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Cancels all tasks and gives them that long to end; what is left then is dropped.
    pub async fn drain(mut self, limit: Duration) {
        self.cancel.cancel();
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            debug!(
                left = self.set.len(),
                "tasks were dropped at the end of the drain"
            );
            self.set.abort_all();
        }
    }
}
