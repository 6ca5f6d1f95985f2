//! How long to wait before trying again, as pure functions of what happened.
//!
//! The waits between restarts of a container follow kubelet: the first restart comes at once, then
//! 10, 20, 40, 80, 160 and at most 300 s, counted from the exit; a container that ran for the reset
//! time starts over. What the wait depends on is written on each container when it is made
//! (`ObservedContainer::backoff_level`), so it survives the agent.
//!
//! Differs: kubelet rounds a wait up to its next look at the pod, up to 15 s later; here it ends
//! when it ends. And kubelet's starts over when kubelet is restarted; this one does not.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::duration;
use crate::model::time::{between, later};
use crate::model::{BackOff, ContainerState, Failure, ObservedContainer, Reason};

/// When an ended container is started again, and the level its successor is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Not before this time.
    pub at: Timestamp,
    /// How long the wait is, counted from the exit.
    pub delay: Duration,
    /// The successor's `backoff_level`.
    pub level: u32,
}

/// The restart that follows a container's exit; `None` while it has not exited.
#[must_use]
pub fn restart_after(container: &ObservedContainer, back_off: &BackOff) -> Option<Restart> {
    let ContainerState::Exited {
        started_at,
        finished_at,
        ..
    } = &container.state
    else {
        return None;
    };
    let started = if started_at.as_second() > 0 {
        *started_at
    } else {
        *finished_at
    };
    let ran = between(started, *finished_at);
    let level = if ran >= back_off.reset {
        0
    } else {
        container.backoff_level
    };
    let delay = match level {
        0 => Duration::ZERO,
        crashes => doubled(back_off.initial, back_off.max, crashes),
    };
    Some(Restart {
        at: later(*finished_at, delay),
        delay,
        level: level.saturating_add(1),
    })
}

/// The restart of a container that was stopped for a failed probe.
///
/// kubelet stops and starts it in one go and so looks at the exit before this one: when the wait
/// counted from there is over already, and when there is no such exit, the restart comes at once.
#[must_use]
pub fn restart_after_probe(
    container: &ObservedContainer,
    exit_before: Option<Timestamp>,
    back_off: &BackOff,
) -> Option<Restart> {
    let restart = restart_after(container, back_off)?;
    let ContainerState::Exited { finished_at, .. } = container.state else {
        return None;
    };
    let at_once = Restart {
        at: finished_at,
        delay: Duration::ZERO,
        level: restart.level,
    };
    match exit_before {
        None => Some(Restart {
            level: 0,
            ..at_once
        }),
        Some(before) if later(before, restart.delay) <= finished_at => Some(at_once),
        Some(_) => Some(restart),
    }
}

/// Waits of a kind of failure: the first and the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    first: Duration,
    longest: Duration,
}

/// Failed pulls, as kubelet spaces them.
pub const PULL: Waits = Waits {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(300),
};
/// Failed volumes: cheap to look at again, and often just late.
pub const VOLUME: Waits = Waits {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(8),
};
/// Failed calls to make, start, stop or remove something; kubelet, too, looks at such a pod again after
/// 10 s.
pub const CALL: Waits = Waits {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(10),
};
/// Calls that were answered as done and changed nothing.
pub const NO_EFFECT: Waits = Waits {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(10),
};

/// Sandboxes that cannot be made, or not be released before the next is: about as often as kubelet,
/// since no event says that a network plugin works again.
pub const SANDBOX: Waits = Waits {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15),
};

/// When a failure is tried again.
#[must_use]
pub fn retry_at(failure: &Failure, waits: Waits) -> Timestamp {
    later(
        failure.last,
        doubled(waits.first, waits.longest, failure.times),
    )
}

/// A failure after one more occurrence.
#[must_use]
pub fn failed_again(before: Option<&Failure>, reason: Reason, now: Timestamp) -> Failure {
    Failure {
        reason,
        times: before.map_or(0, |failure| failure.times).saturating_add(1),
        last: now,
    }
}

/// `first` doubled `times - 1` times, at most `longest`.
fn doubled(first: Duration, longest: Duration, times: u32) -> Duration {
    let factor = 1u32
        .checked_shl(times.saturating_sub(1))
        .unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// The annotation that gives a set a back-off of its own.
pub const ANNOTATION: &str = "setlet.dev/backoff";

/// Reads `initial=1s,max=30s,reset=10m`; what is not named stays as in `node`.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub fn from_annotation(text: &str, node: BackOff) -> Result<BackOff, String> {
    let mut back_off = node;
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} is not NAME=DURATION, for example initial=1s"))?;
        let value = duration(value.trim())
            .ok_or_else(|| format!("{value:?} is not a duration such as 500ms, 10s or 5m"))?;
        match name.trim() {
            "initial" => back_off.initial = value,
            "max" => back_off.max = value,
            "reset" => back_off.reset = value,
            other => return Err(format!("{other:?} is none of initial, max and reset")),
        }
    }
    if back_off.max < back_off.initial {
        return Err("max must not be shorter than initial".to_owned());
    }
    Ok(back_off)
}
