//! Container statuses (`convertToAPIContainerStatuses` of kubelet, `UpdatePodStatus` of its prober).

use k8s_openapi::api::core::v1::{
    Container, ContainerState as State, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, PodSpec,
};

use super::time;
use crate::model::{ContainerState, Goal, ObservedContainer, PodReport, ProbeResults, Reason};

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next one is started.
    Init,
    /// An init container that is restarted and runs beside the main ones.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// Init containers with their roles, in the order of the specification.
pub(super) fn init_containers(spec: &PodSpec) -> impl Iterator<Item = (&Container, Role)> {
    spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (container, if sidecar { Role::Sidecar } else { Role::Init })
    })
}

/// Whether a main container was ever made: then init containers have done their work.
pub(super) fn any_main_started(report: &PodReport) -> bool {
    let spec = report.want.spec();
    spec.containers.iter().any(|container| {
        instances(report, &container.name)
            .iter()
            .any(|c| c.state != ContainerState::Created)
    })
}

/// The status of one container.
pub(super) fn container_status(
    report: &PodReport,
    container: &Container,
    role: Role,
) -> ContainerStatus {
    let instances = instances(report, &container.name);
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(first_state(report, role)),
        last_state: Some(State::default()),
        ..ContainerStatus::default()
    };
    if let Some(newest) = instances.first() {
        status.image.clone_from(&newest.image);
        status.image_id.clone_from(&newest.image_ref);
        status.container_id = Some(container_id(newest));
        status.restart_count = i32::try_from(newest.attempt).unwrap_or(i32::MAX);
        status.state = Some(state(newest));
        status.last_state = Some(
            instances
                .get(1)
                .map_or_else(State::default, |previous| state(previous)),
        );
    }
    hold(&mut status, report, role);
    let results = instances.first().and_then(|c| report.probes.get(&c.id));
    status.started = Some(is_started(&status, role, container, results));
    status.ready = is_ready(&status, role, container, results);
    status
}

/// The containers of a name, newest first.
fn instances<'a>(report: &'a PodReport, name: &str) -> Vec<&'a ObservedContainer> {
    let mut all: Vec<_> = report
        .have
        .iter()
        .flat_map(|have| &have.containers)
        .filter(|c| c.name.as_str() == name)
        .collect();
    all.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
    all
}

/// The state of a container the runtime does not have.
fn first_state(report: &PodReport, role: Role) -> State {
    if role == Role::Init && any_main_started(report) {
        return State {
            terminated: Some(ContainerStateTerminated {
                exit_code: 0,
                reason: Some("Completed".to_owned()),
                message: Some(
                    "Unable to get init container status from container runtime and pod has been \
                     initialized, treat it as exit normally"
                        .to_owned(),
                ),
                ..ContainerStateTerminated::default()
            }),
            ..State::default()
        };
    }
    let has_init = report
        .want
        .spec()
        .init_containers
        .iter()
        .flatten()
        .next()
        .is_some();
    waiting(
        if has_init {
            "PodInitializing"
        } else {
            "ContainerCreating"
        },
        None,
    )
}

fn waiting(word: &str, message: Option<String>) -> State {
    State {
        waiting: Some(ContainerStateWaiting {
            reason: Some(word.to_owned()),
            message,
        }),
        ..State::default()
    }
}

fn container_id(container: &ObservedContainer) -> String {
    format!("containerd://{}", container.id)
}

fn state(container: &ObservedContainer) -> State {
    match &container.state {
        ContainerState::Created => State {
            waiting: Some(ContainerStateWaiting::default()),
            ..State::default()
        },
        ContainerState::Running { started_at } => State {
            running: Some(ContainerStateRunning {
                started_at: Some(time(*started_at)),
            }),
            ..State::default()
        },
        ContainerState::Exited {
            started_at,
            finished_at,
            exit_code,
            reason,
            message,
        } => State {
            terminated: Some(ContainerStateTerminated {
                container_id: Some(container_id(container)),
                exit_code: *exit_code,
                started_at: Some(time(*started_at)),
                finished_at: Some(time(*finished_at)),
                reason: Some(reason.clone()).filter(|r| !r.is_empty()),
                message: Some(message.clone()).filter(|m| !m.is_empty()),
                signal: None,
            }),
            ..State::default()
        },
        ContainerState::Unknown => State {
            terminated: Some(ContainerStateTerminated {
                container_id: Some(container_id(container)),
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(
                    "The container could not be located in the container runtime".to_owned(),
                ),
                ..ContainerStateTerminated::default()
            }),
            ..State::default()
        },
    }
}

/// Puts the reason a container is held back for in place of its state: a container that will be
/// started is waiting, and what it did last becomes its last state. So is a container that runs
/// while its `postStart` hook does: it is still being made.
fn hold(status: &mut ContainerStatus, report: &PodReport, role: Role) {
    let Some(reason) = reason_of(report, &status.name) else {
        return;
    };
    let state = status.state.take().unwrap_or_default();
    let done = role == Role::Init && state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
    let runs = state.running.is_some() && reason.word != "ContainerCreating";
    if matches!(report.want.goal, Goal::End | Goal::Rest) || runs || done {
        status.state = Some(state);
        return;
    }
    if state.terminated.is_some() {
        status.last_state = Some(state);
    }
    status.state = Some(waiting(&reason.word, Some(reason.message.clone())));
}

/// Why a container is held back.
fn reason_of<'a>(report: &'a PodReport, name: &str) -> Option<&'a Reason> {
    let reasons = report.plan.reasons.iter().chain(&report.want.held);
    reasons
        .into_iter()
        .find(|r| r.container.as_deref() == Some(name))
}

/// Whether the container passed its startup probe; without one, whether it runs.
fn is_started(
    status: &ContainerStatus,
    role: Role,
    container: &Container,
    results: Option<&ProbeResults>,
) -> bool {
    let passed = container.startup_probe.is_none()
        || results.is_some_and(|results| results.startup == Some(true));
    role != Role::Init && is_running(status) && passed
}

/// Whether the container passes its readiness probe; without one, whether it has started. An init
/// container is ready when it has done its work.
fn is_ready(
    status: &ContainerStatus,
    role: Role,
    container: &Container,
    results: Option<&ProbeResults>,
) -> bool {
    match role {
        Role::Init => status
            .state
            .as_ref()
            .and_then(|s| s.terminated.as_ref())
            .is_some_and(|t| t.exit_code == 0),
        Role::Sidecar | Role::Main => {
            let passed = container.readiness_probe.is_none()
                || results.is_some_and(|results| results.readiness == Some(true));
            status.started == Some(true) && is_running(status) && passed
        }
    }
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|s| s.running.is_some())
}
