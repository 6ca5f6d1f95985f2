//! Whether a revision that is being tried is good, bad, or still to be waited for.
//!
//! A trial begins when the revision is let run; staging changes nothing that runs and may take as
//! long as it takes. The deadline counts while the agent watches, so that a machine that was off, or
//! an agent that was, holds nothing against a revision.

use std::time::Duration;

use jiff::Timestamp;

use super::policy::Policy;
use crate::model::time::later;
use crate::model::{Reason, RevisionRecord};

/// What is known of the pod that a revision is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// When it was asked to be looked at, where it was, then or later.
    pub looked_at: Option<Timestamp>,
    /// How often its containers were restarted since the trial began.
    pub restarts: u32,
}

impl Progress {
    /// When it will have been ready for so long.
    #[must_use]
    pub fn ready_for(&self, time: Duration) -> Option<Timestamp> {
        self.ready_since.map(|since| later(since, time))
    }

    /// Whether it has been ready for so long, and was seen so.
    #[must_use]
    pub fn has_been_ready_for(&self, time: Duration, now: Timestamp) -> bool {
        self.ready_for(time)
            .is_some_and(|at| at <= now && (time.is_zero() || self.looked_at >= Some(at)))
    }
}

/// What is to be said of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Available: ready for `minReadySeconds`.
    Good,
    /// It will not become so.
    Bad(Reason),
    /// Neither yet; to be looked at again then.
    Wait(Timestamp),
    /// Nothing is tried.
    NoTrial,
}

/// Judges the trial of a revision. `watched_since` is when the agent began to look.
///
/// What was seen before the time came proves nothing of the time between: the pod must have been
/// looked at since.
#[must_use]
pub fn judge(
    revision: &RevisionRecord,
    progress: &Progress,
    policy: &Policy,
    watched_since: Timestamp,
    now: Timestamp,
) -> Judgement {
    let available = progress.has_been_ready_for(policy.settle, now);
    let Some(began) = revision.trial_since else {
        // One that was given up and runs on, for want of a better one, may still come to be good.
        let is_open = revision.good_since.is_none() || revision.bad.is_some();
        return if available && is_open {
            Judgement::Good
        } else {
            Judgement::NoTrial
        };
    };
    if available {
        return Judgement::Good;
    }
    let deadline = later(began.min(now).max(watched_since), policy.deadline);
    if progress.restarts > policy.max_restarts {
        let message = format!(
            "its containers restarted {} times before it was available",
            progress.restarts
        );
        return Judgement::Bad(Reason::new("RestartedTooOften", message));
    }
    if now >= deadline {
        let message = format!(
            "it was not available within {:#}",
            in_words(policy.deadline)
        );
        return Judgement::Bad(Reason::new("ProgressDeadlineExceeded", message));
    }
    // At its time it is looked at, and that is told.
    Judgement::Wait(deadline)
}

fn in_words(time: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX)
}
