//! The phase of a pod (`getPhase` of kubelet). A DaemonSet's pod is always restarted, so it never
//! is `Succeeded` or `Failed`.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};

use super::container::Role;

#[derive(Default)]
struct Count {
    pending_init: u32,
    pending_sidecars: u32,
    unknown: u32,
    running: u32,
    waiting: u32,
    stopped: u32,
}

/// `Pending` or `Running`, of the init containers with their roles and of the main containers.
pub(super) fn phase(
    init: &[(Role, &ContainerStatus)],
    main: &[ContainerStatus],
    any_main_started: bool,
) -> &'static str {
    let mut count = Count::default();
    for (role, status) in init {
        match role {
            Role::Sidecar => count_sidecar(&mut count, status),
            Role::Init | Role::Main => count_init(&mut count, status),
        }
    }
    for status in main {
        count_main(&mut count, status);
    }
    let pending = count.pending_init > 0
        || (count.pending_sidecars > 0 && !any_main_started)
        || count.waiting > 0;
    if !pending && count.unknown == 0 && (count.running > 0 || count.stopped > 0) {
        "Running"
    } else {
        "Pending"
    }
}

fn ended_before(status: &ContainerStatus) -> bool {
    status
        .last_state
        .as_ref()
        .is_some_and(|s| s.terminated.is_some())
}

fn count_init(count: &mut Count, status: &ContainerStatus) {
    let ended = match &status.state {
        Some(ContainerState {
            terminated: Some(_),
            ..
        }) => true,
        Some(ContainerState {
            waiting: Some(_), ..
        }) => status
            .last_state
            .as_ref()
            .and_then(|s| s.terminated.as_ref())
            .is_some_and(|t| t.exit_code != 0),
        _ => false,
    };
    count.pending_init += u32::from(!ended);
}

fn count_sidecar(count: &mut Count, status: &ContainerStatus) {
    match &status.state {
        Some(ContainerState {
            running: Some(_), ..
        }) => {
            count.pending_sidecars += u32::from(status.started != Some(true));
            count.running += 1;
        }
        Some(ContainerState {
            terminated: Some(_),
            ..
        }) => {}
        Some(ContainerState {
            waiting: Some(_), ..
        }) => {
            if !ended_before(status) {
                count.pending_sidecars += 1;
                count.waiting += 1;
            }
        }
        _ => {
            count.pending_sidecars += 1;
            count.unknown += 1;
        }
    }
}

fn count_main(count: &mut Count, status: &ContainerStatus) {
    match &status.state {
        Some(ContainerState {
            running: Some(_), ..
        }) => count.running += 1,
        Some(ContainerState {
            terminated: Some(_),
            ..
        }) => count.stopped += 1,
        Some(ContainerState {
            waiting: Some(_), ..
        }) if ended_before(status) => count.stopped += 1,
        Some(ContainerState {
            waiting: Some(_), ..
        }) => count.waiting += 1,
        _ => count.unknown += 1,
    }
}
