//! How one set is to be updated: its update strategy and its `setlet.dev` annotations, over the
//! node's defaults.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::daemonset::DaemonSet;
use crate::api::duration;
use crate::model::{Reason, RolloutDefaults};

/// `auto` or `off`: whether a bad revision is replaced by the last good one.
pub const ROLLBACK: &str = "setlet.dev/rollback";
/// How long a revision is given to become available, for example `5m`.
pub const PROGRESS_DEADLINE: &str = "setlet.dev/progress-deadline";
/// An update is staged and waits to be approved.
pub const HOLD: &str = "setlet.dev/hold";
/// No update.
pub const PAUSED: &str = "setlet.dev/paused";
/// A change of a referenced object is a revision.
pub const CONFIG_ROLLOUT: &str = "setlet.dev/config-rollout";
/// `in-place` or `replace`.
pub const UPDATE: &str = "setlet.dev/update";

/// How long a revision that may be taken back runs before it counts as good, where its set does not
/// say: kubelet's first back-off, so that what crashes has crashed again.
const SETTLE: Duration = Duration::from_secs(10);

/// When a changed template replaces the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// The old pod ends as soon as the new one is staged (`maxUnavailable`).
    WhenStaged,
    /// The old pod ends when the new one is available (`maxSurge`).
    WhenAvailable,
    /// When the old one is deleted by hand (`OnDelete`).
    OnDelete,
}

/// How a set is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When the pod is replaced.
    pub replace: Replace,
    /// How long a pod must be ready to be available.
    pub min_ready: Duration,
    /// How long a pod must be ready for its revision to be good.
    pub settle: Duration,
    /// Whether a bad revision is replaced by the last good one.
    pub rollback: bool,
    /// How long a revision is given to become available.
    pub deadline: Duration,
    /// How often its containers may restart meanwhile.
    pub max_restarts: u32,
    /// Whether an update waits to be approved.
    pub hold: bool,
    /// Whether there is no update.
    pub paused: bool,
    /// Whether only changed containers are restarted where that is possible.
    pub in_place: bool,
    /// Whether a change of a referenced object is a revision.
    pub config_rollout: bool,
}

/// Reads a set's policy. An annotation that is not understood counts as absent, and is named in
/// `reasons`.
#[must_use]
pub fn policy(set: &DaemonSet, defaults: &RolloutDefaults, reasons: &mut Vec<Reason>) -> Policy {
    let mut word = |annotation: &str, yes: &[&str], no: &[&str]| {
        let text = set.annotation(annotation)?;
        let known = if yes.contains(&text) {
            Some(true)
        } else {
            no.contains(&text).then_some(false)
        };
        if known.is_none() {
            let all = [yes, no].concat().join("\" or \"");
            reasons.push(invalid(annotation, &format!("\"{text}\" is not \"{all}\"")));
        }
        known
    };
    let yes_no = (&["true"][..], &["false"][..]);
    let rollback = word(ROLLBACK, &["auto"], &["off"]);
    let hold = word(HOLD, yes_no.0, yes_no.1);
    let paused = word(PAUSED, yes_no.0, yes_no.1);
    let in_place = word(UPDATE, &["in-place"], &["replace"]);
    let config_rollout = word(CONFIG_ROLLOUT, yes_no.0, yes_no.1);
    let deadline = set.annotation(PROGRESS_DEADLINE).map(|text| {
        let parsed = duration(text).filter(|deadline| !deadline.is_zero());
        parsed.ok_or_else(|| format!("\"{text}\" is not a time above 0 such as 90s or 10m"))
    });
    let deadline = match deadline {
        Some(Ok(deadline)) => Some(deadline),
        Some(Err(why)) => {
            reasons.push(invalid(PROGRESS_DEADLINE, &why));
            None
        }
        None => None,
    };
    let min_ready = set.spec().min_ready_seconds.unwrap_or(0).max(0);
    let min_ready = Duration::from_secs(min_ready.unsigned_abs().into());
    let rollback = rollback.unwrap_or(defaults.rollback);
    let deadline = deadline.unwrap_or(defaults.deadline);
    Policy {
        replace: replace(set),
        min_ready,
        settle: settle(min_ready, rollback, deadline),
        rollback,
        deadline,
        max_restarts: defaults.max_restarts,
        hold: hold.unwrap_or(false),
        paused: paused.unwrap_or(false),
        in_place: in_place.unwrap_or(false),
        config_rollout: config_rollout.unwrap_or(false),
    }
}

/// `minReadySeconds`. Where none are asked for, a container that crashes is ready for as long as it
/// runs, and its revision would be good before it could prove bad: then [`SETTLE`], but no more than
/// half the time that the revision has.
fn settle(min_ready: Duration, rollback: bool, deadline: Duration) -> Duration {
    if rollback && min_ready.is_zero() {
        SETTLE.min(deadline.checked_div(2).unwrap_or_default())
    } else {
        min_ready
    }
}

fn invalid(annotation: &str, why: &str) -> Reason {
    Reason::new(
        "InvalidAnnotation",
        format!("metadata.annotations[{annotation}]: {why}"),
    )
}

fn replace(set: &DaemonSet) -> Replace {
    let strategy = set.spec().update_strategy.as_ref();
    if strategy.and_then(|s| s.type_.as_deref()) == Some("OnDelete") {
        return Replace::OnDelete;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let surges = match rolling.and_then(|rolling| rolling.max_surge.as_ref()) {
        Some(IntOrString::Int(number)) => *number > 0,
        // Rounded up, so that any share of one node is one pod.
        Some(IntOrString::String(percent)) => percent.trim_end_matches('%').parse() != Ok(0),
        None => false,
    };
    if surges {
        Replace::WhenAvailable
    } else {
        Replace::WhenStaged
    }
}
