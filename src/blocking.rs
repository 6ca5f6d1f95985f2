//! The threads that file work runs on which may take long, or for ever: one room for all of them.
//!
//! The agent's one thread must not wait for a file: the file may lie on a mount that never answers.
//! So such work is a job in a [`Lane`], one job at a time a lane, on tokio's threads, which end when
//! they are idle. A job says that it goes on by [`Progress::step`], and hears there that it is to
//! stop. One that makes no step for [`Limits::hung`] counts as hung: whoever asked hears
//! [`Unanswered`], and so does at once everybody who asks for the same lane, until the thread is back.
//! A thread that hangs cannot be ended: so there is a bound on how many there may be, beyond which
//! new jobs are refused. Jobs take turns, so that fifty pods that start at once do not make fifty
//! threads; but one that is slow gives its turn back, and holds up nobody. Nobody waits for a thread
//! when the process ends (`main.rs`).

mod here;
mod job;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

pub use job::{Progress, Stopped};

use crate::model::Reason;

/// The pause between two looks of a thread that waits for its turn.
const LOOK: Duration = Duration::from_millis(5);

/// What a job is made in: the jobs of one lane come one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// For people too, for example `volumes of pod default/a-x2f9 (UID)`.
    name: String,
    /// Whether it is one of the agent's few own, which take no turns and are never refused.
    own: bool,
}

impl Lane {
    /// One of the agent's own lanes, of which there are few: `store`, `manifests`, `logs`.
    #[must_use]
    pub fn own(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            own: true,
        }
    }
}

impl From<String> for Lane {
    fn from(name: String) -> Self {
        Self { name, own: false }
    }
}

impl From<&str> for Lane {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

/// Work that got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// A thread hangs in the lane.
    #[error("{doing} does not answer since {since}")]
    Hung {
        /// The lane's name.
        lane: String,
        /// What the thread is busy with, for people; the lane's name where it did not say.
        doing: String,
        /// When the thread was last seen to go on, in whole seconds.
        since: Timestamp,
    },
    /// So many threads hang that no other is risked.
    #[error("{lane} must wait: {hung} threads hang in file systems that do not answer")]
    TooMany {
        /// The lane's name.
        lane: String,
        /// How many threads hang.
        hung: usize,
    },
}

impl Unanswered {
    /// A reason for it, under Kubernetes' word for the case.
    #[must_use]
    pub fn reason(&self, word: &str) -> Reason {
        Reason::new(word, self.to_string())
    }
}

/// When work counts as what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Jobs that may be under way at once, besides those of the agent's own lanes and slow ones.
    pub at_once: usize,
    /// A job that made no step for that long gives its turn back, and goes on.
    pub slow: Duration,
    /// As does one that is under way for that long.
    pub long: Duration,
    /// A job that made no step for that long hangs.
    pub hung: Duration,
    /// While so many threads hang, only the agent's own lanes get new ones.
    pub most_hung: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 4,
            slow: Duration::from_millis(250),
            long: Duration::from_secs(1),
            hung: Duration::from_secs(10),
            most_hung: 32,
        }
    }
}

/// The room; cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Blocking {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Blocking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

struct Inner {
    limits: Limits,
    /// What is under way, by the lane's name.
    jobs: Mutex<BTreeMap<String, Job>>,
    /// Changes whenever a job ends, and when one of the agent's own lanes begins.
    changed: watch::Sender<()>,
}

/// A job that is under way.
struct Job {
    own: bool,
    progress: Progress,
}

/// What keeps a job from beginning.
enum Wait {
    /// At most for that long.
    For(Duration),
    /// For good.
    Never(Unanswered),
}

impl Blocking {
    /// A room without work.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let inner = Inner {
            limits,
            jobs: Mutex::default(),
            changed: watch::Sender::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Does work on a thread once the lane's other jobs have ended. Dropping the future asks the work
    /// to stop; its thread ends when it hears of it.
    ///
    /// # Errors
    /// The work hangs, or the lane's work from before does, or too much other work. Hung work is
    /// asked to stop.
    ///
    /// # Panics
    /// Where the work does.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: impl Into<Lane>,
        work: impl FnOnce(&Progress) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let lane = lane.into();
        let progress = self.begin(&lane).await?;
        let _stop = StopOnDrop(progress.clone());
        let mut thread = self.spawn(&lane.name, progress.clone(), work);
        let limit = self.inner.limits.hung;
        loop {
            let left = limit.saturating_sub(progress.silent());
            tokio::select! {
                // First: who asked may look again only long after the work has ended.
                biased;
                done = &mut thread => return match done {
                    Ok(value) => Ok(value),
                    Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                    // The process ends.
                    Err(_) => std::future::pending().await,
                },
                () = tokio::time::sleep(left) => {}
            }
            if progress.silent() >= limit && !thread.is_finished() {
                let unanswered = progress.unanswered(&lane.name);
                warn!("{unanswered}");
                return Err(unanswered);
            }
        }
    }

    /// As [`run`](Self::run), for a caller that is on a thread itself: waits until the work made no
    /// step for `patience`, and asks it to stop then. To be called within the runtime.
    ///
    /// # Errors
    /// The work, or the lane's work from before, made no step in that time.
    ///
    /// # Panics
    /// Where the work does.
    pub fn ask<T: Send + 'static>(
        &self,
        lane: impl Into<Lane>,
        patience: Duration,
        work: impl FnOnce(&Progress) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let lane = lane.into();
        let progress = loop {
            match self.inner.try_begin(&lane) {
                Ok(progress) => break progress,
                Err(Wait::Never(why)) => return Err(why),
                Err(Wait::For(pause)) => {
                    let before = self
                        .inner
                        .lock()
                        .get(&lane.name)
                        .map(|job| job.progress.clone());
                    if let Some(before) = before.filter(|before| before.silent() >= patience) {
                        return Err(before.unanswered(&lane.name));
                    }
                    std::thread::sleep(pause.min(LOOK));
                }
            }
        };
        let (tell, answer) = std::sync::mpsc::sync_channel(1);
        drop(self.spawn(&lane.name, progress.clone(), move |progress| {
            let done = catch_unwind(AssertUnwindSafe(|| work(progress)));
            tell.send(done).ok();
        }));
        loop {
            let left = patience.saturating_sub(progress.silent());
            match answer.recv_timeout(left) {
                Ok(done) => return Ok(done.unwrap_or_else(|panic| resume_unwind(panic))),
                Err(RecvTimeoutError::Timeout) if progress.silent() < patience => {}
                Err(_) => {
                    progress.stop();
                    return Err(progress.unanswered(&lane.name));
                }
            }
        }
    }

    /// Every lane whose thread hangs now, by name.
    #[must_use]
    pub fn hung(&self) -> Vec<Unanswered> {
        let jobs = self.inner.lock();
        let hung = jobs.iter().filter(|(_, job)| self.inner.hangs(job));
        hung.map(|(lane, job)| job.progress.unanswered(lane))
            .collect()
    }

    /// Waits for the job's turn and takes it.
    async fn begin(&self, lane: &Lane) -> Result<Progress, Unanswered> {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let pause = match self.inner.try_begin(lane) {
                Ok(progress) => return Ok(progress),
                Err(Wait::For(pause)) => pause,
                Err(Wait::Never(why)) => return Err(why),
            };
            tokio::time::timeout(pause, changed.changed()).await.ok();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the room's own threads")]
    fn spawn<T: Send + 'static>(
        &self,
        lane: &str,
        progress: Progress,
        work: impl FnOnce(&Progress) -> T + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let under_way = UnderWay {
            inner: Arc::clone(&self.inner),
            lane: lane.to_owned(),
        };
        tokio::task::spawn_blocking(move || {
            let _under_way = under_way;
            work(&progress)
        })
    }
}

impl Default for Blocking {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        // Every change is one insertion or removal: a panic elsewhere leaves nothing half done.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hangs(&self, job: &Job) -> bool {
        job.progress.silent() >= self.limits.hung
    }

    /// Enters a job of a lane, unless something keeps it from beginning.
    fn try_begin(&self, lane: &Lane) -> Result<Progress, Wait> {
        let mut jobs = self.lock();
        if let Some(before) = jobs.get(&lane.name) {
            let left = self.limits.hung.saturating_sub(before.progress.silent());
            return Err(if left.is_zero() {
                Wait::Never(before.progress.unanswered(&lane.name))
            } else {
                Wait::For(left)
            });
        }
        if !lane.own {
            // The agent's own few are bounded by whoever asks.
            let hung = jobs.values().filter(|job| !job.own);
            let hung = hung.filter(|job| self.hangs(job)).count();
            if hung >= self.limits.most_hung {
                let lane = lane.name.clone();
                return Err(Wait::Never(Unanswered::TooMany { lane, hung }));
            }
            let others = jobs.values().filter(|job| !job.own);
            let turns: Vec<Duration> = others.filter_map(|job| self.turn_left(job)).collect();
            if turns.len() >= self.limits.at_once {
                let first = turns.into_iter().min();
                return Err(Wait::For(first.unwrap_or_default()));
            }
        }
        let progress = Progress::default();
        let job = Job {
            own: lane.own,
            progress: progress.clone(),
        };
        jobs.insert(lane.name.clone(), job);
        drop(jobs);
        if lane.own {
            self.changed.send_replace(());
        }
        Ok(progress)
    }

    /// For how long a job keeps its turn at least, while it has it.
    fn turn_left(&self, job: &Job) -> Option<Duration> {
        let slow = self.limits.slow.checked_sub(job.progress.silent())?;
        let long = self.limits.long.checked_sub(job.progress.age())?;
        let left = slow.min(long);
        (!left.is_zero()).then_some(left)
    }
}

/// Asks a job to stop when nobody waits for it any more.
struct StopOnDrop(Progress);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A job's place in its lane; given back when its thread is done, however that ends.
struct UnderWay {
    inner: Arc<Inner>,
    lane: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.inner.lock().remove(&self.lane);
        self.inner.changed.send_replace(());
    }
}
