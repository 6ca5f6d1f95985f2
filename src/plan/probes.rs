//! Which probes are to be made now, and what their results mean for a container's start.
//!
//! As kubelet's prober (`pkg/kubelet/prober/prober_manager.go`): a container that runs and whose
//! `postStart` hook is done is probed; while its pod ends only its readiness is.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use super::checks::{self, Asked};
use super::containers::{self, Container};
use crate::model::{
    ContainerState, DesiredPod, Goal, ObservedContainer, ObservedPod, PodMemory, PostStart,
    ProbeFailure, ProbeKind, ProbeTarget,
};

/// The probes of the containers that run now.
#[must_use]
pub fn plan_probes(
    want: &DesiredPod,
    have: Option<&ObservedPod>,
    memory: &PodMemory,
) -> Vec<ProbeTarget> {
    let mut targets = Vec::new();
    let Some(have) = have else { return targets };
    for container in containers::all(want.spec()).filter(Container::is_probed) {
        let Some(running) = have.newest(container.name()) else {
            continue;
        };
        let ContainerState::Running { started_at } = running.state else {
            continue;
        };
        if container.post_start().is_some() && *post_start(running, memory) != PostStart::Done {
            continue;
        }
        let asked = asked(&container, running, have, want);
        for (kind, probe) in probes(container.spec()) {
            if matches!(want.goal, Goal::End | Goal::Rest) && kind != ProbeKind::Readiness {
                continue;
            }
            targets.push(ProbeTarget {
                id: running.id.clone(),
                container: running.name.clone(),
                started_at,
                kind,
                check: checks::of_probe(probe, asked),
                timing: checks::timing(probe),
            });
        }
    }
    targets
}

/// A container's probes.
fn probes(spec: &core::Container) -> impl Iterator<Item = (ProbeKind, &core::Probe)> {
    [
        (ProbeKind::Startup, &spec.startup_probe),
        (ProbeKind::Liveness, &spec.liveness_probe),
        (ProbeKind::Readiness, &spec.readiness_probe),
    ]
    .into_iter()
    .filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
}

/// Where a container's probes and hooks go to unless they say: the address of its sandbox, and of
/// the node for a pod on the host network.
pub(super) fn asked<'a>(
    container: &Container<'a>,
    running: &ObservedContainer,
    have: &'a ObservedPod,
    want: &DesiredPod,
) -> Asked<'a> {
    let mut sandboxes = have.sandboxes.iter();
    let sandbox = sandboxes.find(|sandbox| sandbox.id == running.sandbox);
    let address = sandbox.and_then(|sandbox| sandbox.ips.first());
    Asked {
        container: container.spec(),
        address: address
            .map(String::as_str)
            .filter(|_| want.spec().host_network != Some(true)),
    }
}

/// How far the container's `postStart` hook is.
pub(super) fn post_start<'a>(
    container: &ObservedContainer,
    memory: &'a PodMemory,
) -> &'a PostStart {
    let known = memory.instances.get(&container.id);
    known.map_or(&PostStart::Unknown, |known| &known.post_start)
}

/// Whether a running container has started: its startup probe, where it has one, has succeeded.
pub(super) fn has_started(
    container: &Container<'_>,
    running: &ObservedContainer,
    memory: &PodMemory,
) -> bool {
    let results = memory.probes.get(&running.id);
    container.spec().startup_probe.is_none()
        || results.is_some_and(|results| results.startup == Some(true))
}

/// The probe for whose sake a running container is to be restarted.
pub(super) fn failed<'a>(
    running: &ObservedContainer,
    memory: &'a PodMemory,
) -> Option<&'a ProbeFailure> {
    memory.probes.get(&running.id)?.failed.as_ref()
}

/// The grace period a failed probe brings with it.
pub(super) fn grace(spec: &core::Container, kind: ProbeKind) -> Option<Duration> {
    let (_, probe) = probes(spec).find(|(of, _)| *of == kind)?;
    let seconds = u64::try_from(probe.termination_grace_period_seconds?).ok()?;
    Some(Duration::from_secs(seconds))
}
