//! Reads a log's files on a thread: a log may lie on a mount that does not answer.

use std::io;
use std::path::Path;

use crate::blocking::{Blocking, Progress};

/// What reads one log. All who read the same log do so one after another, and hear at once when its
/// filesystem does not answer.
pub(super) struct Hand {
    blocking: Blocking,
    lane: String,
}

impl Hand {
    pub fn new(blocking: Blocking, log: &Path) -> Self {
        Self {
            blocking,
            lane: format!("the log {}", log.display()),
        }
    }

    /// Does something with the log's files.
    ///
    /// # Errors
    /// Those of the work; and that there is no answer.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Progress) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let done = self.blocking.run(self.lane.clone(), work).await;
        done.unwrap_or_else(|why| Err(io::Error::other(why)))
    }
}
