//! Hooks around a container's life, and its end when a probe or its `postStart` hook failed.
//!
//! As kubelet (`kuberuntime_container.go`): a container whose `postStart` hook has not succeeded is
//! not started yet, and one whose hook failed is stopped with the pod's grace period and restarted
//! with the usual back-off. A failed startup or liveness probe stops it with the probe's own grace
//! period where it has one. Before each stop comes the `preStop` hook, and its time comes off.
//!
//! A `postStart` hook is run at least once: its success is recorded on the host, so an agent that
//! was killed meanwhile runs it again, and one that was killed afterwards does not. Differs: kubelet
//! forgets a hook that it was killed in. A `preStop` hook that was cut by the agent's end runs again
//! with what is left of the grace period.

use std::time::Duration;

use super::checks;
use super::containers::{self, Container, Look};
use super::{end, probes};
use crate::model::{
    Action, Check, DesiredPod, ObservedContainer, ObservedPod, PodMemory, PodPlan, PostStart,
    Reason, StopKind, StopTarget,
};

/// The shortest time a container is given between SIGTERM and SIGKILL.
const SHORTEST: Duration = Duration::from_secs(2);

/// True when the container has no `postStart` hook or it is done; otherwise plans what comes next.
pub(super) fn plan_post_start(
    look: &Look<'_>,
    container: &Container<'_>,
    running: &ObservedContainer,
    plan: &mut PodPlan,
) -> bool {
    let Some(hook) = container.post_start() else {
        return true;
    };
    match probes::post_start(running, look.memory) {
        PostStart::Done => true,
        PostStart::Unknown => {
            let asked = probes::asked(container, running, look.have, look.pod);
            plan.actions.push(Action::RunPostStart {
                key: look.pod.key().clone(),
                id: running.id.clone(),
                container: running.name.clone(),
                hook: checks::of_hook(hook, asked),
            });
            let reason = Reason::new("ContainerCreating", "the postStart hook is being run");
            plan.reasons.push(reason.of_container(container.name()));
            false
        }
        PostStart::Failed(reason) => {
            plan.reasons
                .push(reason.clone().of_container(container.name()));
            let grace = end::grace_period(Some(look.pod), running);
            kill(look, running, grace, StopKind::Stop, plan);
            false
        }
    }
}

/// True when no probe asks for the container's restart; otherwise plans its stop.
pub(super) fn plan_unhealthy(
    look: &Look<'_>,
    container: &Container<'_>,
    running: &ObservedContainer,
    plan: &mut PodPlan,
) -> bool {
    let Some(failure) = probes::failed(running, look.memory) else {
        return true;
    };
    let message = format!("{} probe failed: {}", failure.kind.word(), failure.message);
    plan.reasons
        .push(Reason::new("Unhealthy", message).of_container(container.name()));
    let grace = probes::grace(container.spec(), failure.kind);
    let grace = grace.unwrap_or_else(|| end::grace_period(Some(look.pod), running));
    kill(look, running, grace, StopKind::Unhealthy, plan);
    false
}

/// Stops one container of a pod that goes on, unless an earlier try must be waited out.
pub(super) fn kill(
    look: &Look<'_>,
    running: &ObservedContainer,
    grace: Duration,
    kind: StopKind,
    plan: &mut PodPlan,
) {
    if end::fails_still(look.memory, look.now, plan) {
        return;
    }
    let hook = pre_stop(Some(look.pod), look.have, running, look.memory, grace);
    plan.actions.push(Action::StopContainers {
        targets: vec![stop(running, grace, hook, kind)],
    });
}

/// The `preStop` hook to run now: none where there is none, it has run, or no time is left.
pub(super) fn pre_stop(
    want: Option<&DesiredPod>,
    have: &ObservedPod,
    running: &ObservedContainer,
    memory: &PodMemory,
    left: Duration,
) -> Option<Check> {
    let want = want?;
    let known = memory.instances.get(&running.id);
    if left.as_secs() == 0 || known.is_some_and(|known| known.pre_stopped) {
        return None;
    }
    let container = containers::all(want.spec()).find(|c| c.name() == running.name.as_str())?;
    let hook = container.pre_stop()?;
    let asked = probes::asked(&container, running, have, want);
    Some(checks::of_hook(hook, asked))
}

/// The stop of a container that has this time left. With a hook the time is what hook and stop have
/// together, and the least a stop is given is seen to after the hook.
pub(super) fn stop(
    container: &ObservedContainer,
    left: Duration,
    hook: Option<Check>,
    kind: StopKind,
) -> StopTarget {
    let left = Duration::from_secs(left.as_secs());
    StopTarget {
        id: container.id.clone(),
        name: container.name.clone(),
        timeout: if hook.is_some() {
            left
        } else {
            left.max(SHORTEST)
        },
        hook,
        kind,
    }
}
