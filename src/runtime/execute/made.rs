//! What sandboxes and containers are made of, with the files that they find made first.

use crate::blocking::{Progress, Stopped};
use crate::cri;
use crate::model::{Action, DesiredPod, Reason};
use crate::runtime::{cgroup, files, translate};

/// What the runtime is told of a container that is to be made and of its sandbox, with the container's
/// files made; none for another action.
pub(super) fn container_config(
    action: &Action,
    host: &translate::Host,
    progress: &Progress,
) -> Result<Option<(cri::PodSandboxConfig, cri::ContainerConfig)>, Reason> {
    let Action::CreateContainer {
        pod,
        sandbox_attempt,
        ips,
        container,
        attempt,
        backoff_level,
        image,
        volumes,
        ..
    } = action
    else {
        return Ok(None);
    };
    let input = translate::ContainerInput {
        container,
        attempt: *attempt,
        backoff_level: *backoff_level,
        image,
        volumes,
        ips,
    };
    let sandbox_config = sandbox_config(pod, *sandbox_attempt, host, progress)?;
    // Again, for what systemd made only with the sandbox: no container runs unbounded.
    bounded(pod, host, progress)?;
    let own = files::prepare_container(pod, &input, host, progress)?;
    let config = translate::container(pod, &input, &own, host)?;
    Ok(Some((sandbox_config, config)))
}

/// What the runtime is told of a pod's sandbox, with the directories it names made.
pub fn sandbox_config(
    pod: &DesiredPod,
    attempt: u32,
    host: &translate::Host,
    progress: &Progress,
) -> Result<cri::PodSandboxConfig, Reason> {
    let own = files::prepare_pod(pod, host, progress)?;
    translate::sandbox(pod, attempt, &own, host)
}

/// Bounds the pod's cgroup, unless the work was asked to stop: the cgroup of a pod that was taken
/// away is not made again.
pub(super) fn bounded(
    pod: &DesiredPod,
    host: &translate::Host,
    progress: &Progress,
) -> Result<(), Reason> {
    let stopped = |e: Stopped| Reason::new("FailedCreatePodContainer", e.to_string());
    progress.step().map_err(stopped)?;
    cgroup::prepare(pod, host)
}
