//! What a worker can be told to do, and what came of it. An action carries all that is needed to
//! do it, so that it can be printed and a stand-in can apply it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ContainerName;
use crate::model::{
    Check, ContainerId, DesiredPod, HostPort, ImageState, Reason, SandboxId, VolumePaths,
};

/// One container to stop and the time it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopTarget {
    /// The container.
    pub id: ContainerId,
    /// Its name, for people.
    pub name: ContainerName,
    /// Time from now to SIGKILL, in whole seconds: what the hook takes comes off it, SIGTERM comes
    /// with the rest.
    pub timeout: Duration,
    /// The `preStop` hook to run first.
    pub hook: Option<Check>,
    /// Why, and how far.
    pub kind: StopKind,
}

/// Why a container is stopped, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// It is not wanted any more, or not as it is.
    Stop,
    /// Its startup or liveness probe failed; it is restarted.
    Unhealthy,
    /// Only its hook is run: a sidecar, whose turn to stop comes later.
    HookOnly,
}

/// One step of bringing a pod to what is wanted.
#[derive(Clone, PartialEq)]
pub enum Action {
    /// Check host paths and make the pod's volumes and directories; repeating it is harmless.
    PrepareVolumes {
        /// The pod.
        pod: Arc<DesiredPod>,
    },
    /// Make sure an image is there by its container's pull policy. Answers at once: with the image,
    /// or that a pull was begun, whose end wakes the worker.
    EnsureImage {
        /// The pod.
        pod: Arc<DesiredPod>,
        /// The image as the pod names it.
        image: String,
        /// `Always`, `IfNotPresent` or `Never`.
        policy: String,
        /// The first container that is made of it; none for an image that is mounted.
        container: Option<ContainerName>,
    },
    /// Ask the registry again for an image that a running container was made of without its answer.
    RecheckImage {
        /// The pod.
        pod: Arc<DesiredPod>,
        /// The image as the pod names it.
        image: String,
    },
    /// Look whether host ports are free.
    CheckPorts {
        /// Which.
        ports: Vec<HostPort>,
    },
    /// Make the sandbox.
    RunSandbox {
        /// The pod.
        pod: Arc<DesiredPod>,
        /// The attempt, one more than that of the newest sandbox.
        attempt: u32,
    },
    /// Make a container in a sandbox.
    CreateContainer {
        /// The pod.
        pod: Arc<DesiredPod>,
        /// The ready sandbox.
        sandbox: SandboxId,
        /// The sandbox's attempt.
        sandbox_attempt: u32,
        /// The sandbox's addresses, for `status.podIP` references and `/etc/hosts`.
        ips: Vec<String>,
        /// Which container of the pod.
        container: ContainerName,
        /// Its attempt: the restart count.
        attempt: u32,
        /// Crashes in a row that led here, for the back-off of the next exit.
        backoff_level: u32,
        /// The image made sure of.
        image: Box<ImageState>,
        /// Host paths of the pod's volumes.
        volumes: Arc<VolumePaths>,
    },
    /// Start a created container.
    StartContainer {
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
    },
    /// Give a running container the resources its pod has now; repeating it is harmless.
    UpdateResources {
        /// The pod.
        pod: Arc<DesiredPod>,
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
    },
    /// Run the `postStart` hook of a started container. Repeating it after it has succeeded is
    /// harmless: it is not run again.
    RunPostStart {
        /// The pod.
        key: crate::api::PodKey,
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
        /// The hook.
        hook: Check,
    },
    /// Stop containers, all at the same time, each after its hook.
    StopContainers {
        /// Which, and how long each is given.
        targets: Vec<StopTarget>,
    },
    /// Remove a container that has ended.
    RemoveContainer {
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
    },
    /// Stop a sandbox and release its network.
    StopSandbox {
        /// The sandbox.
        id: SandboxId,
    },
    /// Remove a stopped sandbox.
    RemoveSandbox {
        /// The sandbox.
        id: SandboxId,
        /// Its pod, where nothing of that is to be left: a process in the way is killed.
        ends: Option<crate::api::Uid>,
    },
    /// Remove what the agent made on the host for an ended pod: volumes, directories, logs, links.
    Teardown {
        /// The pod's key.
        key: crate::api::PodKey,
    },
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done; the next observation shows it.
    Done,
    /// The volumes are on the host.
    Volumes(Arc<VolumePaths>),
    /// The image is there, or on its way, or not to be had.
    Image(ImageState),
    /// A container was made.
    Created(ContainerId),
    /// Containers were stopped; these are the ones whose `preStop` hook failed.
    Stopped(Vec<ContainerName>),
    /// It failed, for a reason to show; it is tried again with back-off.
    Failed(Reason),
}

/// What to do next for one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodPlan {
    /// What to do, in order; the worker carries out the first and plans again.
    pub actions: Vec<Action>,
    /// When to plan again though nothing changed.
    pub wake_at: Option<Timestamp>,
    /// Why something is held back.
    pub reasons: Vec<Reason>,
    /// Everything staging asks for is done.
    pub staged: bool,
    /// Nothing of the pod is left, neither in the runtime nor on the host.
    pub gone: bool,
    /// Nothing of the pod runs, and nothing is to.
    pub at_rest: bool,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareVolumes { .. } => f.write_str("prepare volumes"),
            Self::EnsureImage { image, policy, .. } => write!(f, "ensure image {image} ({policy})"),
            Self::RecheckImage { image, .. } => write!(f, "ask again for image {image}"),
            Self::CheckPorts { ports } => {
                f.write_str("look for host ports")?;
                ports.iter().try_for_each(|port| write!(f, " {port}"))
            }
            Self::RunSandbox { attempt, .. } => write!(f, "run sandbox, attempt {attempt}"),
            Self::CreateContainer {
                container, attempt, ..
            } => {
                write!(f, "create container {container}, attempt {attempt}")
            }
            Self::StartContainer { container, .. } => write!(f, "start container {container}"),
            Self::UpdateResources { container, .. } => write!(f, "resize container {container}"),
            Self::RunPostStart { container, .. } => write!(f, "run postStart hook of {container}"),
            Self::StopContainers { targets } => {
                f.write_str("stop")?;
                targets.iter().try_for_each(|t| {
                    let hook = match (&t.hook, t.kind) {
                        (_, StopKind::HookOnly) => "hook only, ",
                        (Some(_), _) => "hook, ",
                        (None, _) => "",
                    };
                    write!(f, " {} ({hook}{} s)", t.name, t.timeout.as_secs())
                })
            }
            Self::RemoveContainer { container, id } => {
                write!(f, "remove container {container} {id}")
            }
            Self::StopSandbox { id } => write!(f, "stop sandbox {id}"),
            Self::RemoveSandbox { id, .. } => write!(f, "remove sandbox {id}"),
            Self::Teardown { .. } => f.write_str("tear down volumes and logs"),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Action({self})")
    }
}
