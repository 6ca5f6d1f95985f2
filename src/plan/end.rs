//! Ending a pod: containers with what is left of the grace period, then sandboxes, then what the
//! agent made on the host.
//!
//! As kubelet v1.36 stops a pod: all main containers at the same time, then the sidecars one by one
//! in reverse order, each with the rest of the grace period; once that has run out all that is left
//! is stopped at once. A stop is never given less than two seconds. A `preStop` hook comes before
//! its container's stop, those of the sidecars at once with the main containers'.

use std::time::Duration;

use jiff::Timestamp;

use super::{backoff, containers, hooks, is_ready, wait_until};
use crate::model::time::between;
use crate::model::{
    Action, DesiredPod, Goal, ObservedContainer, ObservedPod, PodMemory, PodPlan, Reason, StopKind,
};

/// kubelet's grace period where neither specification nor container says one.
const DEFAULT_GRACE: i64 = 30;
/// kubelet's grace period in seconds of a pod that it evicts.
const EVICTION_GRACE: i64 = 1;

/// Plans the end of a pod until nothing of it is left.
pub(super) fn plan_end(
    want: Option<&DesiredPod>,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    if fails_still(memory, now, plan) {
        return;
    }
    let Some(have) = have else {
        match want {
            Some(want) if !memory.torn_down => {
                plan.actions.push(Action::Teardown {
                    key: want.key().clone(),
                });
            }
            _ => plan.gone = true,
        }
        return;
    };
    if stop_running(want, have, memory, now, plan) {
        plan.reasons.push(Reason::new(
            "Terminating",
            "its containers are being stopped",
        ));
        return;
    }
    stop_sandboxes(have, plan);
    plan.actions
        .extend(have.sandboxes.iter().map(|sandbox| Action::RemoveSandbox {
            id: sandbox.id.clone(),
            ends: Some(have.key.uid.clone()),
        }));
    let orphans = have
        .containers
        .iter()
        .filter(|c| have.sandboxes.iter().all(|s| s.id != c.sandbox));
    plan.actions
        .extend(orphans.map(|container| Action::RemoveContainer {
            id: container.id.clone(),
            container: container.name.clone(),
        }));
    if plan.actions.is_empty() {
        plan.actions.push(Action::Teardown {
            key: have.key.clone(),
        });
    }
}

/// Plans the stop of a pod that the machine's next start brings back: what it has is kept, its
/// network is released.
pub(super) fn plan_rest(
    want: &DesiredPod,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    if fails_still(memory, now, plan) {
        return;
    }
    if let Some(have) = have {
        if stop_running(Some(want), have, memory, now, plan) {
            plan.reasons.push(Reason::new(
                "NodeShutdown",
                "its containers are being stopped, the machine goes down",
            ));
            return;
        }
        stop_sandboxes(have, plan);
    }
    plan.at_rest = plan.actions.is_empty();
}

/// Plans to release the network of what stands ready.
fn stop_sandboxes(have: &ObservedPod, plan: &mut PodPlan) {
    let ready = have.sandboxes.iter().filter(|sandbox| is_ready(sandbox));
    plan.actions
        .extend(ready.map(|sandbox| Action::StopSandbox {
            id: sandbox.id.clone(),
        }));
}

/// Whether an earlier failure to stop or remove something still has to be waited out.
pub(super) fn fails_still(memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) -> bool {
    waits_still(memory, backoff::CALL, now, plan)
}

/// The same with other waits.
pub(super) fn waits_still(
    memory: &PodMemory,
    waits: backoff::Waits,
    now: Timestamp,
    plan: &mut PodPlan,
) -> bool {
    let Some(failure) = &memory.teardown else {
        return false;
    };
    let at = backoff::retry_at(failure, waits);
    plan.reasons.push(failure.reason.clone().retried_at(at));
    wait_until(at, now, plan)
}

/// Plans to stop what runs, main containers first; false when nothing does. The grace period began
/// when the pod's end was decided, for a pod that goes on with this stop.
pub(super) fn stop_running(
    want: Option<&DesiredPod>,
    have: &ObservedPod,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> bool {
    let running: Vec<&ObservedContainer> = have
        .containers
        .iter()
        .filter(|container| container.is_running())
        .collect();
    let Some(any) = running.first() else {
        return false;
    };
    let left = time_left(want, grace_period(want, any), now);

    let order = want.map(sidecars).unwrap_or_default();
    let place = |container: &ObservedContainer| {
        order
            .iter()
            .position(|name| *name == container.name.as_str())
    };
    let is_main = |container: &ObservedContainer| place(container).is_none();
    let last = running.iter().max_by_key(|container| place(container));
    let last = last.map(|container| container.id.clone());
    let mains = running.iter().any(|container| is_main(container));
    let has_its_turn = |container: &ObservedContainer| {
        if mains {
            is_main(container)
        } else {
            left.is_zero() || Some(&container.id) == last.as_ref()
        }
    };
    let targets = running.iter().filter_map(|container| {
        let hook = hooks::pre_stop(want, have, container, memory, left);
        let kind = if has_its_turn(container) {
            StopKind::Stop
        } else {
            StopKind::HookOnly
        };
        let waits = kind == StopKind::HookOnly && hook.is_none();
        (!waits).then(|| hooks::stop(container, left, hook, kind))
    });
    plan.actions.push(Action::StopContainers {
        targets: targets.collect(),
    });
    true
}

/// What is left of a grace period that began when the pod's end was decided, for a pod that goes on
/// with this stop; no more than the machine has time for.
fn time_left(want: Option<&DesiredPod>, grace: Duration, now: Timestamp) -> Duration {
    let since = want.and_then(|want| match want.goal {
        Goal::End => want.record.ending_since,
        _ => want.term.map(|term| term.since),
    });
    let passed = between(since.unwrap_or(now), now);
    // As kubelet, whole seconds that have passed are taken off.
    let left = grace.saturating_sub(Duration::from_secs(passed.as_secs()));
    let term = want.and_then(|want| want.term);
    term.map_or(left, |term| left.min(between(now, term.until)))
}

/// The pod's own grace period, else the one its container was made with; never less than a second,
/// which is also what an evicted pod gets.
pub(super) fn grace_period(want: Option<&DesiredPod>, container: &ObservedContainer) -> Duration {
    let evicted = want.is_some_and(|want| want.record.evicted.is_some());
    let of_spec = want.and_then(|want| want.spec().termination_grace_period_seconds);
    let of_spec = if evicted {
        Some(EVICTION_GRACE)
    } else {
        of_spec
    };
    let seconds = of_spec.or(container.grace_seconds).unwrap_or(DEFAULT_GRACE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1))
}

fn sidecars(want: &DesiredPod) -> Vec<&str> {
    containers::all(want.spec())
        .filter(containers::Container::is_sidecar)
        .map(|c| c.name())
        .collect()
}
