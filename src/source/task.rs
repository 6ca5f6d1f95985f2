//! The task that keeps the snapshot of the manifests directory current.
//!
//! All file work is done on a thread that may block, so that a directory on a network filesystem
//! that hangs holds up nothing else; a part of it that hangs holds up no other part (`reach`). Events lead to a look within a millisecond; a scan of
//! everything follows every rescan interval whatever the events say, and shortly after something got
//! no answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::directory::{Manifests, Moment};
use super::reach::Reach;
use super::watcher::{Change, Changes, Events, events};
use super::{Error, LastGood, Settings, SourceMetrics};
use crate::blocking::Blocking;
use crate::clock::After;
use crate::model::Snapshot;

/// How many files are kept on disk at a time; in between, events are seen to.
const KEEP: usize = 256;
/// How many events are taken in at a time.
const BATCH: usize = 1024;
/// How soon what was not answered is scanned again, and what was not kept is kept.
const RETRY: Duration = Duration::from_secs(5);

/// What the task reads.
pub struct Inputs {
    /// The settings; a change of all but the path takes effect at once.
    pub settings: watch::Receiver<Settings>,
    /// Each message asks for a scan of everything.
    pub rescan: mpsc::Receiver<()>,
    /// What keeps the last good objects.
    pub keeper: Box<dyn LastGood>,
    /// The source's metrics.
    pub metrics: SourceMetrics,
    /// The threads that questions about files are asked on.
    pub blocking: Blocking,
}

/// What there is to do.
enum Step {
    Scan,
    Note(Vec<Change>),
    LookAgain,
    Keep,
}

/// What the thread that may block works on.
struct Work {
    manifests: Manifests,
    events: Events,
}

/// Keeps `snapshots` at what the manifests directory says, until cancelled.
///
/// # Errors
///
/// The thread that reads files panicked. A directory or file that cannot be read is no error: it
/// is in the snapshot.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread that reads manifests, which asks the room about paths that may hang"
)]
pub async fn watch_directory(
    inputs: Inputs,
    snapshots: watch::Sender<Arc<Snapshot>>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let Inputs {
        mut settings,
        rescan,
        keeper,
        metrics,
        blocking,
    } = inputs;
    let start = settings.borrow_and_update().clone();
    let path = start.path.clone();
    let (events, changes) = events(&path);
    let mut work = Work {
        manifests: Manifests::new(start, Reach::new(blocking), keeper, metrics),
        events,
    };
    let mut waits = Waits {
        settings,
        rescan,
        changes,
    };
    let mut step = Step::Scan;
    let mut rescan_at = moment().now;
    let mut keep_again = None;
    loop {
        if matches!(step, Step::Scan) {
            rescan_at = moment().now.after(work.manifests.settings.rescan_interval);
        }
        let keeping = matches!(step, Step::Keep);
        let mut run = tokio::task::spawn_blocking(move || {
            let done = work.run(step);
            (work, done)
        });
        let (back, done) = tokio::select! {
            done = &mut run => done.map_err(|source| Error::Panicked { path: path.clone(), source })?,
            () = cancel.cancelled() => return Ok(()),
        };
        work = back;
        if keeping {
            keep_again = (!done).then(|| moment().now.after(RETRY));
        }
        if work.manifests.reach.take_unanswered() {
            rescan_at = rescan_at.min(moment().now.after(RETRY));
        }
        if let Some(snapshot) = work.manifests.publish() {
            snapshots.send_replace(Arc::new(snapshot));
        }
        let keep = work.manifests.has_unkept();
        let keep = keep.then(|| keep_again.unwrap_or_else(|| moment().now));
        step = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            step = waits.next(&mut work.manifests, rescan_at, keep) => step,
        };
    }
}

/// What is waited for between two steps.
struct Waits {
    settings: watch::Receiver<Settings>,
    rescan: mpsc::Receiver<()>,
    changes: Changes,
}

impl Waits {
    /// The next step; events come before the keeping of what they changed.
    async fn next(
        &mut self,
        manifests: &mut Manifests,
        rescan_at: Instant,
        keep: Option<Instant>,
    ) -> Step {
        let keep_at = keep.unwrap_or(rescan_at);
        let wake_at = manifests
            .next_look()
            .map_or(rescan_at, |at| at.min(rescan_at));
        tokio::select! {
            biased;
            Some(()) = self.rescan.recv() => Step::Scan,
            Ok(()) = self.settings.changed() => {
                let new = self.settings.borrow_and_update().clone();
                // The path stays what it was at the start.
                let path = manifests.settings.path.clone();
                manifests.settings = Settings { path, ..new };
                Step::Scan
            }
            change = self.changes.next() => {
                let mut all = vec![change];
                all.extend(std::iter::from_fn(|| self.changes.ready()).take(BATCH));
                Step::Note(all)
            }
            () = tokio::time::sleep_until(keep_at.into()), if keep.is_some() => Step::Keep,
            () = tokio::time::sleep_until(wake_at.into()) => {
                if rescan_at <= wake_at { Step::Scan } else { Step::LookAgain }
            }
        }
    }
}

impl Work {
    /// Does one step; false where keeping failed.
    fn run(&mut self, step: Step) -> bool {
        let at = moment();
        let scan = match step {
            Step::Keep => return self.manifests.keep(KEEP),
            Step::Scan => true,
            Step::LookAgain => self.manifests.look_again(at),
            Step::Note(changes) => {
                for change in &changes {
                    match change {
                        Change::Directory(path) | Change::Gone(path) => self.events.leave(path),
                        Change::Anything => self.manifests.metrics.overflows.inc(&[]),
                        _ => {}
                    }
                }
                self.manifests.note(changes, at)
            }
        };
        if scan {
            self.scan(at);
        }
        true
    }

    fn scan(&mut self, at: Moment) {
        let root = self.manifests.settings.path.clone();
        if let Some(above) = root.parent() {
            // The directory itself may come, go, or be replaced.
            self.events.enter(above, (0, 0));
        }
        let events = &mut self.events;
        let entered = self
            .manifests
            .scan(at, &mut |path, id| events.enter(path, id));
        if !entered {
            self.events.leave(&root);
        }
        let took: Duration = moment().now.saturating_duration_since(at.now);
        self.manifests.metrics.scan_seconds.observe(&[], took);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "files are compared with the clock that stamps them, and waited for with the other"
)]
fn moment() -> Moment {
    Moment {
        now: Instant::now(),
        wall: SystemTime::now(),
    }
}
