//! When each probe is due and what its answers add up to; pure, with the time passed in.
//!
//! Follows kubelet's prober worker (`pkg/kubelet/prober/worker.go`): answers count only in a row, a
//! container's startup probe holds back its others until it succeeds and rests from then on, and a
//! failed startup or liveness probe rests until there is another container. What could not be asked
//! counts for nothing.
//!
//! Differs: kubelet's first probe falls anywhere in the first period, because it probes on a clock
//! that starts with the pod. Here startup and readiness are asked as soon as they may be, and
//! liveness a period after the start, or when its delay is over where that is later; of containers
//! that ran before, spread over a period.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use crate::model::time::later;
use crate::model::{
    Answer, ContainerId, ProbeFailure, ProbeKind, ProbeResults, ProbeTarget, Probed,
};

/// A probe, by container and kind.
pub type Key = (ContainerId, ProbeKind);

/// All probes of a pod.
#[derive(Debug, Default)]
pub struct Schedule {
    tracks: BTreeMap<Key, Track>,
    results: Probed,
}

/// One probe.
#[derive(Debug)]
struct Track {
    target: ProbeTarget,
    /// When it is due next; `None` while it is being asked or rests.
    next: Option<Timestamp>,
    /// The newest answer and how often it came in a row.
    last: Option<(bool, u32)>,
}

impl Schedule {
    /// Takes the probes that should be made from now on. Those that stay go on as they were.
    pub fn set_targets(&mut self, targets: &[ProbeTarget], now: Timestamp) {
        let wanted: BTreeMap<Key, &ProbeTarget> = targets
            .iter()
            .map(|target| ((target.id.clone(), target.kind), target))
            .collect();
        self.tracks.retain(|key, _| wanted.contains_key(key));
        self.results
            .retain(|id, _| targets.iter().any(|target| target.id == *id));
        for (key, target) in wanted {
            if let Some(track) = self.tracks.get_mut(&key) {
                track.target = target.clone();
                continue;
            }
            self.results.entry(key.0.clone()).or_default();
            let track = Track {
                target: target.clone(),
                next: None,
                last: None,
            };
            self.tracks.insert(key, track);
        }
        let ids: Vec<ContainerId> = self.results.keys().cloned().collect();
        for id in ids {
            self.begin(&id, now);
        }
    }

    /// Lets the probes of a container begin that have not yet and may.
    fn begin(&mut self, id: &ContainerId, now: Timestamp) {
        let waits = self.tracks.contains_key(&(id.clone(), ProbeKind::Startup))
            && self.results.get(id).and_then(|results| results.startup) != Some(true);
        for kind in [
            ProbeKind::Startup,
            ProbeKind::Liveness,
            ProbeKind::Readiness,
        ] {
            if waits && kind != ProbeKind::Startup {
                continue;
            }
            if let Some(track) = self.tracks.get_mut(&(id.clone(), kind))
                && track.last.is_none()
                && track.next.is_none()
            {
                track.next = Some(first(&track.target, now));
            }
        }
    }

    /// The probes that are due; each is then being asked until its answer is recorded.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<ProbeTarget> {
        let due = self.tracks.values_mut().filter_map(|track| {
            track.next.filter(|next| *next <= now)?;
            track.next = None;
            // Until the answer comes; a probe that was not asked yet has no answers.
            track.last.get_or_insert((true, 0));
            Some(track.target.clone())
        });
        due.collect()
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.tracks.values().filter_map(|track| track.next).min()
    }

    /// Takes an answer to a probe that was asked at `asked`; true when a result changed.
    pub fn record(&mut self, key: &Key, answer: &Answer, asked: Timestamp, now: Timestamp) -> bool {
        let (Some(track), Some(results)) = (self.tracks.get_mut(key), self.results.get_mut(&key.0))
        else {
            return false;
        };
        let timing = track.target.timing;
        track.next = Some(later(asked, timing.period).max(now));
        let (success, message) = match answer {
            Answer::Success => (true, ""),
            Answer::Failure(message) => (false, message.as_str()),
            Answer::Unknown(_) => return false,
        };
        let run = match track.last {
            Some((before, run)) if before == success => run.saturating_add(1),
            _ => 1,
        };
        track.last = Some((success, run));
        let enough = if success {
            timing.successes
        } else {
            timing.failures
        };
        if run < enough {
            return false;
        }
        let rests = match key.1 {
            ProbeKind::Readiness => false,
            ProbeKind::Liveness => !success,
            ProbeKind::Startup => true,
        };
        if rests {
            track.next = None;
        }
        let changed = settle(results, key.1, success, message, now);
        if key.1 == ProbeKind::Startup && success {
            self.begin(&key.0, now);
        }
        changed
    }

    /// The results so far.
    #[must_use]
    pub fn results(&self) -> &Probed {
        &self.results
    }
}

/// Writes a result down; true when it is another than before.
fn settle(
    results: &mut ProbeResults,
    kind: ProbeKind,
    success: bool,
    message: &str,
    now: Timestamp,
) -> bool {
    let slot = match kind {
        ProbeKind::Startup => Some(&mut results.startup),
        ProbeKind::Readiness => Some(&mut results.readiness),
        ProbeKind::Liveness => None,
    };
    let mut changed = false;
    if let Some(slot) = slot
        && slot.replace(success) != Some(success)
    {
        results.changed_at = Some(now);
        changed = true;
    }
    if kind != ProbeKind::Readiness && !success {
        results.failed = Some(ProbeFailure {
            kind,
            message: message.to_owned(),
        });
        changed = true;
    }
    changed
}

/// When a probe is made for the first time, of a container that may be probed from `now` on.
fn first(target: &ProbeTarget, now: Timestamp) -> Timestamp {
    let timing = target.timing;
    let allowed = later(target.started_at, timing.initial_delay);
    if target.kind != ProbeKind::Liveness {
        return allowed.max(now);
    }
    let settled = later(target.started_at, timing.initial_delay.max(timing.period));
    if now < settled {
        settled
    } else {
        later(now, spread(&target.id, timing.period))
    }
}

/// A share of the period that is the container's own.
fn spread(id: &ContainerId, period: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(hasher.finish() % millis)
}
