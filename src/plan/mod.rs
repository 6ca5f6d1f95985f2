//! What to do next for one pod: [`plan_pod`] compares what is wanted with what the runtime has and
//! returns the actions that close the gap, the time to look again, and a reason for whatever waits.
//!
//! Everything here is a pure function of its arguments. It follows kubelet v1.36's
//! `computePodActions` and `killPod`; the recordings in `tests/vectors/cri` show the order.

pub mod backoff;
pub mod beside;
mod checks;
mod containers;
mod effect;
mod end;
pub mod eviction;
mod gc;
mod hooks;
mod images;
pub mod in_place;
mod memory;
pub mod order;
pub mod policy;
pub mod ports;
mod probes;
pub mod references;
pub mod rollout;
pub mod target;
#[cfg(test)]
mod tests;
pub mod trial;

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::time::later;
use crate::model::{
    Action, BackOff, DesiredPod, Goal, HostPort, ObservedPod, ObservedSandbox, PodMemory, PodPlan,
    PodRecord, PortState, Reason, SandboxId, SandboxState, VolumePaths, VolumeState,
};

pub use effect::take_look;
pub use memory::{forget_failures, remember, take_over};
pub use probes::plan_probes;

/// Plans one pod. `want` is `None` for a pod that the agent finds in the runtime and knows nothing
/// of; `have` is `None` when the runtime has nothing of it.
#[must_use]
pub fn plan_pod(
    want: Option<&Arc<DesiredPod>>,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
) -> PodPlan {
    let mut plan = PodPlan::default();
    match want {
        Some(pod) if pod.goal == Goal::Stage => stage(pod, memory, now, &mut plan),
        Some(pod) if pod.goal == Goal::Prepare => prepare(pod, have, memory, now, &mut plan),
        Some(pod) if pod.goal == Goal::Run => run(pod, have, memory, now, &mut plan),
        Some(pod) if pod.goal == Goal::Rest => end::plan_rest(pod, have, memory, now, &mut plan),
        _ => end::plan_end(want.map(Arc::as_ref), have, memory, now, &mut plan),
    }
    effect::pause(memory, now, &mut plan);
    plan
}

/// The names of a pod's containers, init containers first.
pub fn container_names(record: &PodRecord) -> impl Iterator<Item = &str> {
    let spec = record.pod.spec.iter();
    spec.flat_map(containers::all)
        .map(|container| container.name())
}

/// Everything that can fail without touching a running pod.
fn stage(pod: &Arc<DesiredPod>, memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) {
    if !pod.held.is_empty() {
        hold(pod, memory, now, plan);
        return;
    }
    let mut ready = volumes(pod, memory, now, plan).is_some();
    for container in containers::all(pod.spec()) {
        ready &= images::image(pod, &container, memory, now, plan).is_some();
        ready &= images::volumes(pod, &container, memory, now, plan);
    }
    ready &= ports_are_free(pod, memory, now, plan);
    plan.staged = ready;
}

/// What staging does, and then the sandbox.
fn prepare(
    pod: &Arc<DesiredPod>,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    stage(pod, memory, now, plan);
    if plan.staged && have.and_then(ObservedPod::ready_sandbox).is_none() {
        new_sandbox(pod, have, memory, now, plan);
    }
}

/// Whether the host ports that the pod before does not have are free; plans to look otherwise.
fn ports_are_free(
    pod: &DesiredPod,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> bool {
    match &memory.ports {
        _ if pod.ports.is_empty() => return true,
        PortState::Free(ports) if *ports == pod.ports => return true,
        PortState::Failed(failure) => {
            let at = backoff::retry_at(failure, backoff::VOLUME);
            plan.reasons.push(failure.reason.clone().retried_at(at));
            if wait_until(at, now, plan) {
                return false;
            }
        }
        PortState::Free(_) | PortState::Unknown => {}
    }
    plan.actions.push(Action::CheckPorts {
        ports: pod.ports.clone(),
    });
    false
}

/// Nothing of it is started. Where that may pass by itself, its images are had meanwhile;
/// its host paths are not looked at, because they may be what comes with what it waits for.
fn hold(pod: &Arc<DesiredPod>, memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) {
    plan.reasons.extend(pod.held.iter().cloned());
    let may_pass = |reason: &Reason| order::is_wait(reason) || reason.word == HostPort::CONFLICT;
    if pod.held.iter().all(may_pass) {
        for container in containers::all(pod.spec()) {
            images::image(pod, &container, memory, now, plan);
            images::volumes(pod, &container, memory, now, plan);
        }
    }
}

/// A pod that runs: volumes, sandbox, containers, and what dead attempts leave behind.
fn run(
    pod: &Arc<DesiredPod>,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    let ready = have.and_then(ObservedPod::ready_sandbox);
    if !pod.held.is_empty() && ready.is_none() {
        hold(pod, memory, now, plan);
    } else if let (Some(have), Some(sandbox)) = (have, ready) {
        containers::plan_containers(pod, have, sandbox, memory, now, plan);
        gc::plan_gc(have, memory, now, plan);
        images::recheck(pod, memory, now, plan);
    } else {
        new_sandbox(pod, have, memory, now, plan);
    }
}

/// How often the network of a sandbox that is dead is tried to be released before the next is made.
const RELEASES: u32 = 3;

/// Makes a sandbox, after the remains of the one before have ended: its containers stopped and its
/// network released, so that addresses and host ports are free again.
///
/// Differs: where the network of a dead sandbox cannot be released, kubelet never makes another; here
/// the node has its pod all the same, and the remains are tried to be removed beside it. That is for
/// one that held containers. One that never did was made in vain, as by a network plugin that is
/// not installed; the next would be too, and is not made before that one is released.
fn new_sandbox(
    pod: &Arc<DesiredPod>,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    if let Some(have) = have {
        let failed = |id| memory.unreleased.get(id).copied().unwrap_or_default();
        let is_left = |id| {
            let may_be_left = failed(id) >= RELEASES && held_containers(have, id);
            !memory.stopped.contains(id) && !may_be_left
        };
        let left = have.sandboxes.iter().map(|sandbox| &sandbox.id);
        let left: Vec<_> = left.filter(|id| is_left(id)).collect();
        let runs = have
            .containers
            .iter()
            .any(|container| container.is_running());
        let has_failed = runs || left.iter().any(|id| failed(id) > 0);
        if has_failed && end::waits_still(memory, backoff::SANDBOX, now, plan)
            || end::stop_running(Some(pod.as_ref()), have, memory, now, plan)
        {
            return;
        }
        let stop = |id: &SandboxId| Action::StopSandbox { id: id.clone() };
        plan.actions.extend(left.into_iter().map(stop));
        remove_vain(have, memory, now, plan);
    }
    if volumes(pod, memory, now, plan).is_none() {
        return;
    }
    let last = have.and_then(|have| have.sandboxes.iter().max_by_key(|sandbox| sandbox.attempt));
    let attempt = last.map_or(0, |last| last.attempt.saturating_add(1));
    if last.is_some_and(|last| keeps_dying(last, &pod.back_off, now, plan)) {
        waiting_for(pod, "SandboxChanged", "the sandbox keeps ending", plan);
        return;
    }
    if let Some(failure) = &memory.sandbox {
        let at = backoff::retry_at(failure, backoff::SANDBOX);
        plan.reasons.push(failure.reason.clone().retried_at(at));
        if wait_until(at, now, plan) {
            return;
        }
    } else {
        waiting_for(pod, "ContainerCreating", "the sandbox is being made", plan);
    }
    plan.actions.push(Action::RunSandbox {
        pod: Arc::clone(pod),
        attempt,
    });
}

/// Whether the runtime has a container of this sandbox, dead or alive.
fn held_containers(have: &ObservedPod, sandbox: &SandboxId) -> bool {
    let mut containers = have.containers.iter();
    containers.any(|container| container.sandbox == *sandbox)
}

/// Plans to remove sandboxes that were made in vain, but for the newest, which says how many there
/// were and when. What cannot be removed keeps nothing from being made.
fn remove_vain(have: &ObservedPod, memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) {
    let mut newest_first: Vec<_> = have.sandboxes.iter().collect();
    newest_first.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.attempt));
    let older = newest_first.into_iter().skip(1);
    let vain: Vec<_> = older
        .filter(|sandbox| !is_ready(sandbox) && !held_containers(have, &sandbox.id))
        .collect();
    if vain.is_empty() || end::fails_still(memory, now, plan) {
        return;
    }
    let remove = |sandbox: &ObservedSandbox| Action::RemoveSandbox {
        id: sandbox.id.clone(),
        ends: None,
    };
    plan.actions.extend(vain.into_iter().map(remove));
}

/// Whether a sandbox that was not the pod's first ended so soon that the next one waits.
fn keeps_dying(
    last: &ObservedSandbox,
    back_off: &BackOff,
    now: Timestamp,
    plan: &mut PodPlan,
) -> bool {
    let at = later(last.created_at, back_off.initial);
    last.attempt > 0 && wait_until(at, now, plan)
}

/// Host paths of the volumes once they are prepared with the references' present content; plans
/// their preparation otherwise.
fn volumes(
    pod: &Arc<DesiredPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> Option<Arc<VolumePaths>> {
    match &memory.volumes {
        VolumeState::Prepared { paths, references } if *references == pod.references => {
            return Some(Arc::clone(paths));
        }
        VolumeState::Failed(failure) => {
            let at = backoff::retry_at(failure, backoff::VOLUME);
            plan.reasons.push(failure.reason.clone().retried_at(at));
            if wait_until(at, now, plan) {
                return None;
            }
        }
        VolumeState::Prepared { .. } | VolumeState::Unknown => {}
    }
    plan.actions.push(Action::PrepareVolumes {
        pod: Arc::clone(pod),
    });
    None
}

/// Notes when to look again, and says whether that is still to come.
fn wait_until(at: Timestamp, now: Timestamp, plan: &mut PodPlan) -> bool {
    let waits = now < at;
    if waits {
        plan.wake_at = Some(plan.wake_at.map_or(at, |before| before.min(at)));
    }
    waits
}

/// The same reason for every container of the pod.
fn waiting_for(pod: &DesiredPod, word: &str, message: &str, plan: &mut PodPlan) {
    let reasons =
        containers::all(pod.spec()).map(|c| Reason::new(word, message).of_container(c.name()));
    plan.reasons.extend(reasons);
}

/// Whether a sandbox is ready; a word for filters.
fn is_ready(sandbox: &ObservedSandbox) -> bool {
    sandbox.state == SandboxState::Ready
}
