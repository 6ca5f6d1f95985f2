//! The state disk, which may stall: an fsync takes seconds, or never returns.
//!
//! The coordinator waits for it on a thread of its own, because what follows from a write must come
//! after it, however long that takes. Nobody else waits: probes, restarts, the socket and signals go on,
//! and status says what does not answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Channels;
use super::notify;
use super::reporter::Reporter;
use super::tasks::Tasks;
use crate::blocking::{Blocking, Lane, Unanswered};
use crate::model::Reason;
use crate::store::Store;

/// The word of the reason; Kubernetes has none.
pub const WORD: &str = "NotAnswering";

/// The state directory, for those who may wait for it.
#[derive(Clone)]
pub struct Disk {
    store: Arc<Store>,
    blocking: Blocking,
    lane: Lane,
}

impl Disk {
    /// The directory for one of its users, whose lane is called `lane`.
    #[must_use]
    pub fn new(store: &Arc<Store>, blocking: &Blocking, lane: &str) -> Self {
        Self {
            store: Arc::clone(store),
            blocking: blocking.clone(),
            lane: Lane::own(lane),
        }
    }

    /// Reads or writes on the caller's thread, for as long as it takes.
    pub fn with<T>(&self, work: impl FnOnce(&Store) -> T) -> T {
        self.blocking.here(&self.lane, |progress| {
            // Nobody asks this job to stop.
            progress.begin(self.name()).ok();
            work(&self.store)
        })
    }

    /// Reads or writes on another thread.
    ///
    /// # Errors
    /// It hangs; it may still be done later.
    pub async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (store, name) = (Arc::clone(&self.store), self.name());
        let work = move |progress: &crate::blocking::Progress| {
            progress.begin(name).ok();
            work(&store)
        };
        self.blocking.run(self.lane.clone(), work).await
    }

    /// The threads that file work is done on.
    #[must_use]
    pub fn blocking(&self) -> &Blocking {
        &self.blocking
    }

    /// The store itself, for what does not touch the disk.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn is_busy(&self) -> bool {
        self.blocking.is_busy(&self.lane)
    }

    fn name(&self) -> String {
        format!("the state directory {}", self.store.root().display())
    }
}

/// Starts the tasks that tell of what does not answer, and that beat for the service manager: at each
/// of `passes`, which are the coordinator's on `disk`.
pub(super) fn start(
    tasks: &mut Tasks,
    channels: &Channels,
    disk: Disk,
    passes: watch::Receiver<()>,
) {
    let (blocking, reporter) = (channels.blocking.clone(), channels.reporter.clone());
    let told = name_hung(blocking, reporter, channels.cancel.clone());
    tasks.start("hung threads", told);
    if let Some(every) = notify::beat_every() {
        let busy = move || disk.is_busy();
        let cancel = channels.cancel.clone();
        tasks.start("watchdog", beat(passes, every, busy, notify::beat, cancel));
    }
}

/// Says in the view which of the agent's own lanes hang.
async fn name_hung(blocking: Blocking, reporter: Reporter, cancel: CancellationToken) {
    let mut hung = Vec::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            newest = blocking.own_hung(&hung) => hung = newest,
        }
        let reasons: Vec<Reason> = hung.iter().map(|hung| hung.reason(WORD)).collect();
        reporter.report_unanswered(&reasons);
    }
}

/// Beats after each pass of the coordinator, and while it waits for the state disk. A start of the
/// agent would cure no disk, and would end the probes and restarts that go on without it. But a
/// coordinator that is busy with anything else for too long, or a thread of the tasks that hangs, is a
/// defect that a start may cure: then nothing beats.
async fn beat(
    mut passes: watch::Receiver<()>,
    every: Duration,
    waits_for_disk: impl Fn() -> bool,
    beat: impl Fn(),
    cancel: CancellationToken,
) {
    // Twice a beat, so that one look that came a moment too early costs nothing.
    let look = every.checked_div(2).unwrap_or(every);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            Ok(()) = passes.changed() => beat(),
            () = tokio::time::sleep(look) => if waits_for_disk() {
                beat();
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn it_beats_for_a_coordinator_that_waits_for_the_disk_and_for_no_other() {
        let (passes, seen) = watch::channel(());
        let (told, mut beats) = mpsc::unbounded_channel();
        let waits = AtomicBool::new(false);
        let every = Duration::from_millis(20);
        let cancel = CancellationToken::new();
        let waits_for_disk = || waits.load(Ordering::Relaxed);
        let task = beat(
            seen,
            every,
            waits_for_disk,
            || told.send(()).expect("heard"),
            cancel.clone(),
        );
        let story = async {
            passes.send_replace(());
            beats.recv().await.expect("a pass");
            let none = tokio::time::timeout(every * 5, beats.recv()).await;
            assert!(none.is_err(), "it does something else");
            waits.store(true, Ordering::Relaxed);
            for _ in 0..3 {
                beats.recv().await.expect("it waits for the disk");
            }
            cancel.cancel();
        };
        tokio::join!(task, story);
    }
}
