//! The only place where tasks are started, so that none ends unseen.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// The agent's tasks and the token that ends them.
pub struct Tasks {
    set: JoinSet<&'static str>,
    cancel: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self { set: JoinSet::new(), cancel }
    }

    /// Starts a task. It is expected to end only after the token was cancelled.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where tasks start")]
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
            debug!(left = self.set.len(), "tasks were dropped at the end of the drain");
            self.set.abort_all();
        }
    }
}
