//! What a job and those who wait for it tell each other.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};

use super::Unanswered;

/// The job was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was asked to stop")]
pub struct Stopped;

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        // Not `Interrupted`: what reads or writes would begin again.
        Self::other(stopped)
    }
}

/// A job's handle: says that it goes on, and hears that it is to stop.
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    begun: Instant,
    /// The last step, in milliseconds since the beginning.
    step: AtomicU64,
    stopped: AtomicBool,
    doing: Mutex<Option<String>>,
    /// When the job last went on, once it was found to hang.
    since: OnceLock<Timestamp>,
}

/// The progress of work that begins now, and of work that nobody watches.
impl Default for Progress {
    fn default() -> Self {
        let inner = Inner {
            begun: now(),
            step: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            doing: Mutex::default(),
            since: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl Progress {
    /// Says that the work goes on. To be called for each entry, block or piece.
    ///
    /// # Errors
    /// The work is to stop as soon as it can.
    pub fn step(&self) -> Result<(), Stopped> {
        let age = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        self.inner.step.store(age, Ordering::Relaxed);
        if self.is_stopped() {
            return Err(Stopped);
        }
        Ok(())
    }

    /// A step, and what comes next, for people: `volume "data" (/mnt/nfs)`. It is named when the work
    /// does not go on from here.
    ///
    /// # Errors
    /// The work is to stop as soon as it can.
    pub fn begin(&self, doing: impl Into<String>) -> Result<(), Stopped> {
        let mut place = self
            .inner
            .doing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(doing.into());
        drop(place);
        self.step()
    }

    /// Whether the work is to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn age(&self) -> Duration {
        now().saturating_duration_since(self.inner.begun)
    }

    /// How long ago the last step was.
    pub(super) fn silent(&self) -> Duration {
        let step = Duration::from_millis(self.inner.step.load(Ordering::Relaxed));
        self.age().saturating_sub(step)
    }

    /// Names the job as one that hangs; the same whenever it is asked.
    pub(super) fn unanswered(&self, lane: &str) -> Unanswered {
        let since = self.inner.since.get_or_init(|| {
            let now = crate::clock::wall();
            let silent = i64::try_from(self.silent().as_secs()).unwrap_or(i64::MAX);
            let second = now.as_second().saturating_sub(silent);
            Timestamp::from_second(second)
                .or_else(|_| now.round(Unit::Second))
                .unwrap_or(now)
        });
        let doing = self.inner.doing.lock();
        let doing = doing.unwrap_or_else(PoisonError::into_inner).clone();
        Unanswered::Hung {
            lane: lane.to_owned(),
            doing: doing.unwrap_or_else(|| lane.to_owned()),
            since: *since,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a thread is silent is measured where it is"
)]
fn now() -> Instant {
    Instant::now()
}
