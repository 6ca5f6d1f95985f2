//! What a pod's row says: the word for its state, ready containers and restarts (`printPod` of
//! kube-apiserver). The agent's own status uses the same words.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

/// A pod in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct PodLine {
    /// `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`, …
    pub state: String,
    /// Ready containers.
    pub ready: usize,
    /// Containers that can be ready.
    pub total: usize,
    /// Restarts of all containers.
    pub restarts: i32,
    /// When the last restarted container had ended.
    pub last_restart: Option<Timestamp>,
}

/// The line of a pod.
pub(in crate::server) fn pod_line(pod: &Pod) -> PodLine {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let init_containers = spec.init_containers.unwrap_or_default();
    let is_sidecar = |name: &str| {
        let mut all = init_containers.iter();
        all.any(|c| c.name == name && c.restart_policy.as_deref() == Some("Always"))
    };
    let init = status.init_container_statuses.unwrap_or_default();
    let main = status.container_statuses.unwrap_or_default();
    let (sidecars, initializers): (Vec<_>, Vec<_>) = init.iter().partition(|c| is_sidecar(&c.name));
    let mut line = PodLine {
        state: status.reason.or(status.phase).unwrap_or_default(),
        ready: sidecars
            .iter()
            .filter(|c| c.ready && c.started == Some(true))
            .count(),
        total: spec.containers.len() + sidecars.len(),
        restarts: 0,
        last_restart: None,
    };
    let condition = |name: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|c| c.type_ == name && c.status == "True")
    };
    let initializing = initializing(&init, &is_sidecar);
    count_restarts(&mut line, sidecars.into_iter());
    match initializing {
        Some(state) if !condition("Initialized") => {
            line.state = state;
            count_restarts(&mut line, initializers.into_iter());
        }
        _ => {
            count_restarts(&mut line, main.iter());
            line.ready += main.iter().filter(|c| c.ready && is_running(c)).count();
            apply_main(&mut line, &main, condition("Ready"));
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        "Terminating".clone_into(&mut line.state);
    }
    line
}

/// The state while init containers have work to do.
fn initializing(init: &[ContainerStatus], is_sidecar: &impl Fn(&str) -> bool) -> Option<String> {
    let done = |status: &ContainerStatus| {
        terminated(status).is_some_and(|t| t.exit_code == 0)
            || (is_sidecar(&status.name) && status.started == Some(true))
    };
    let index = init.iter().position(|status| !done(status))?;
    let waiting = init[index].state.as_ref().and_then(|s| s.waiting.as_ref());
    let word = waiting.and_then(|w| w.reason.as_deref());
    Some(match (terminated(&init[index]), word) {
        (Some(ended), _) => format!("Init:{}", ended_word(ended)),
        (None, Some(word)) if !word.is_empty() && word != "PodInitializing" => {
            format!("Init:{word}")
        }
        _ => format!("Init:{index}/{}", init.len()),
    })
}

fn apply_main(line: &mut PodLine, main: &[ContainerStatus], pod_is_ready: bool) {
    let mut has_running = false;
    for status in main.iter().rev() {
        let waiting = status.state.as_ref().and_then(|s| s.waiting.as_ref());
        match (
            waiting.and_then(|w| w.reason.as_deref()),
            terminated(status),
        ) {
            (Some(word), _) if !word.is_empty() => word.clone_into(&mut line.state),
            (_, Some(ended)) => line.state = ended_word(ended),
            _ => has_running |= status.ready && is_running(status),
        }
    }
    if line.state == "Completed" && has_running {
        line.state = if pod_is_ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn count_restarts<'a>(line: &mut PodLine, statuses: impl Iterator<Item = &'a ContainerStatus>) {
    for status in statuses {
        line.restarts += status.restart_count;
        let last = status
            .last_state
            .as_ref()
            .and_then(|s| s.terminated.as_ref());
        let ended = last.and_then(|t| t.finished_at.as_ref()).map(|t| t.0);
        line.last_restart = line.last_restart.max(ended);
    }
}

fn terminated(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref().and_then(|s| s.terminated.as_ref())
}

fn is_running(status: &ContainerStatus) -> bool {
    matches!(
        &status.state,
        Some(ContainerState {
            running: Some(_),
            ..
        })
    )
}

fn ended_word(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref(), ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}
