//! What can go wrong between the agent and the runtime: a variant per call, with what it was about.
//!
//! Decides by gRPC codes and by whether an answer came at all, never by an error's text; the one
//! exception, a pull the registry could not be reached for, is in `image/cause.rs`. The reason words
//! are those kubelet shows (pkg/kubelet/container/sync_result.go, pkg/kubelet/images/types.go,
//! pkg/kubelet/events/event.go).

#[cfg(test)]
mod tests;

use std::error::Error as _;

use tonic::{Code, Status};

use crate::api::ContainerName;
use crate::model::{ContainerId, Reason, SandboxId};

/// Whether and how a failed call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Observe and plan again at once: what the call met is gone or already there.
    Now,
    /// After a back-off.
    Backoff,
    /// Not before something else changes.
    Never,
}

/// A failed call. The cause of most is the runtime's answer, or what the connection ended with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured endpoint is not `unix:///path`.
    #[error("containerRuntimeEndpoint {endpoint:?} is not unix:///PATH")]
    Endpoint {
        /// The endpoint as configured.
        endpoint: String,
    },
    /// The handshake's Version.
    #[error("asking the runtime for its version")]
    Version(#[source] Status),
    /// The handshake's Status or RuntimeConfig.
    #[error("asking the runtime for its features")]
    Features(#[source] Status),
    /// containerd's images, or leases.
    #[error("removing images")]
    Images(#[source] Status),
    /// ListPodSandbox.
    #[error("listing sandboxes")]
    ListSandboxes(#[source] Status),
    /// ListContainers.
    #[error("listing containers")]
    ListContainers(#[source] Status),
    /// PodSandboxStatus.
    #[error("reading the status of sandbox {sandbox}")]
    SandboxStatus {
        /// The sandbox asked for.
        sandbox: SandboxId,
        /// The runtime's answer.
        source: Status,
    },
    /// ContainerStatus.
    #[error("reading the status of container {container}")]
    ContainerStatus {
        /// The container asked for.
        container: ContainerId,
        /// The runtime's answer.
        source: Status,
    },
    /// RunPodSandbox.
    #[error("running a sandbox for pod {pod}")]
    RunSandbox {
        /// The pod, as namespace/name.
        pod: String,
        /// The runtime's answer.
        source: Status,
    },
    /// StopPodSandbox.
    #[error("stopping sandbox {sandbox}")]
    StopSandbox {
        /// The sandbox.
        sandbox: SandboxId,
        /// The runtime's answer.
        source: Status,
    },
    /// RemovePodSandbox.
    #[error("removing sandbox {sandbox}")]
    RemoveSandbox {
        /// The sandbox.
        sandbox: SandboxId,
        /// The runtime's answer.
        source: Status,
    },
    /// CreateContainer.
    #[error("creating container {container} of pod {pod}")]
    CreateContainer {
        /// The pod, as namespace/name.
        pod: String,
        /// The container's name.
        container: ContainerName,
        /// The runtime's answer.
        source: Status,
    },
    /// StartContainer.
    #[error("starting container {container}")]
    StartContainer {
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
        /// The runtime's answer.
        source: Status,
    },
    /// StopContainer.
    #[error("stopping container {container}")]
    StopContainer {
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
        /// The runtime's answer.
        source: Status,
    },
    /// RemoveContainer.
    #[error("removing container {container}")]
    RemoveContainer {
        /// The container.
        id: ContainerId,
        /// Its name.
        container: ContainerName,
        /// The runtime's answer.
        source: Status,
    },
    /// UpdateContainerResources.
    #[error("changing the resources of container {container}")]
    UpdateResources {
        /// The container's name.
        container: ContainerName,
        /// The runtime's answer.
        source: Status,
    },
    /// ExecSync.
    #[error("running a command in container {container}")]
    ExecSync {
        /// The container.
        container: ContainerId,
        /// The runtime's answer.
        source: Status,
    },
    /// Exec.
    #[error("preparing a command in container {container}")]
    Exec {
        /// The container.
        container: ContainerId,
        /// The runtime's answer.
        source: Status,
    },
    /// ReopenContainerLog.
    #[error("opening the log of container {container} anew")]
    ReopenLog {
        /// The container.
        container: ContainerId,
        /// The runtime's answer.
        source: Status,
    },
    /// ImageStatus.
    #[error("looking for image {image}")]
    ImageStatus {
        /// The image as the pod names it.
        image: String,
        /// The runtime's answer.
        source: Status,
    },
    /// PullImage.
    #[error("pulling image {image}")]
    PullImage {
        /// The image as the pod names it.
        image: String,
        /// The runtime's answer.
        source: Status,
    },
    /// Subscribing to, or reading, the runtime's events.
    #[error("reading the runtime's events")]
    Events(#[source] Status),
    /// The pulls' task has ended, which only happens when the agent ends.
    #[error("image pulls have ended")]
    PullsEnded,
    /// An action for the volume room was given to the runtime: a mistake in the caller.
    #[error("\"{action}\" is not an action of the runtime")]
    NotRuntime {
        /// The action as it prints.
        action: String,
    },
}

impl Error {
    /// The runtime's answer, or what stands for it when the connection failed.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Endpoint { .. } | Self::PullsEnded | Self::NotRuntime { .. } => None,
            Self::Version(source)
            | Self::Features(source)
            | Self::Images(source)
            | Self::ListSandboxes(source)
            | Self::ListContainers(source)
            | Self::Events(source)
            | Self::SandboxStatus { source, .. }
            | Self::ContainerStatus { source, .. }
            | Self::RunSandbox { source, .. }
            | Self::StopSandbox { source, .. }
            | Self::RemoveSandbox { source, .. }
            | Self::CreateContainer { source, .. }
            | Self::StartContainer { source, .. }
            | Self::StopContainer { source, .. }
            | Self::RemoveContainer { source, .. }
            | Self::UpdateResources { source, .. }
            | Self::ExecSync { source, .. }
            | Self::Exec { source, .. }
            | Self::ReopenLog { source, .. }
            | Self::ImageStatus { source, .. }
            | Self::PullImage { source, .. } => Some(source),
        }
    }

    /// Whether the runtime could not be reached, or went away during the call, so that nothing is
    /// known of what the call did.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        match self {
            // Unavailable may be said of the registry here.
            Self::PullImage { source, .. } => source.source().is_some(),
            _ => self.status().is_some_and(is_connection_lost),
        }
    }

    /// Whether the runtime does not have what the call was about.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|s| s.code() == Code::NotFound)
    }

    /// Whether the runtime does not know the call.
    #[must_use]
    pub fn is_unimplemented(&self) -> bool {
        self.status()
            .is_some_and(|s| s.code() == Code::Unimplemented)
    }

    /// Whether repeating the call can help, and when.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Endpoint { .. } | Self::NotRuntime { .. } | Self::PullsEnded => Retry::Never,
            Self::Version(_)
            | Self::Features(_)
            | Self::Images(_)
            | Self::ListSandboxes(_)
            | Self::ListContainers(_)
            | Self::Events(_)
            | Self::SandboxStatus { .. }
            | Self::ContainerStatus { .. }
            | Self::RunSandbox { .. }
            | Self::StopSandbox { .. }
            | Self::RemoveSandbox { .. }
            | Self::CreateContainer { .. }
            | Self::StartContainer { .. }
            | Self::StopContainer { .. }
            | Self::RemoveContainer { .. }
            | Self::UpdateResources { .. }
            | Self::ExecSync { .. }
            | Self::Exec { .. }
            | Self::ReopenLog { .. }
            | Self::ImageStatus { .. }
            | Self::PullImage { .. } => self.status().map_or(Retry::Backoff, retry_of),
        }
    }

    /// The reason people are shown, in Kubernetes' words.
    #[must_use]
    pub fn reason(&self) -> Reason {
        if self.is_connection_lost() {
            return Reason::new("ContainerRuntimeUnavailable", self.line());
        }
        let reason = Reason::new(self.word(), self.words());
        match self {
            Self::CreateContainer { container, .. }
            | Self::StartContainer { container, .. }
            | Self::StopContainer { container, .. }
            | Self::UpdateResources { container, .. }
            | Self::RemoveContainer { container, .. } => reason.of_container(container.as_str()),
            _ => reason,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "InvalidContainerRuntimeEndpoint",
            Self::RunSandbox { .. } => "FailedCreatePodSandBox",
            Self::SandboxStatus { .. } => "FailedPodSandBoxStatus",
            Self::StopSandbox { .. } | Self::RemoveSandbox { .. } => "KillPodSandboxError",
            Self::CreateContainer { .. } => "CreateContainerError",
            Self::StartContainer { .. } => "RunContainerError",
            Self::StopContainer { .. } | Self::RemoveContainer { .. } => "KillContainerError",
            // The event's reason of an in-place resize that failed (KEP-1287).
            Self::UpdateResources { .. } => "ResizeError",
            Self::ImageStatus { .. } => "ImageInspectError",
            Self::PullImage { .. } => "ErrImagePull",
            // A runtime that gives no list within its deadline, or is not ready to.
            Self::Version(_)
            | Self::Features(_)
            | Self::Images(_)
            | Self::ListSandboxes(_)
            | Self::ListContainers(_)
            | Self::Events(_) => "ContainerRuntimeUnavailable",
            Self::ContainerStatus { .. }
            | Self::ExecSync { .. }
            | Self::Exec { .. }
            | Self::ReopenLog { .. }
            | Self::PullsEnded
            | Self::NotRuntime { .. } => "ContainerRuntimeError",
        }
    }

    /// What people are told; of images and containers the runtime's own words, as by kubelet.
    fn words(&self) -> String {
        match self {
            Self::PullImage { source, .. }
            | Self::CreateContainer { source, .. }
            | Self::StartContainer { source, .. } => status_line(source),
            _ => self.line(),
        }
    }

    /// The error and its causes in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match self.status() {
            None => self.to_string(),
            Some(status) => format!("{self}: {}", status_line(status)),
        }
    }
}

/// The runtime's message in one line; for a failed connection its innermost cause, because the
/// outer ones say "transport error" only.
fn status_line(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    if text.is_empty() {
        text = status.code().to_string();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A status that was made on this side has a source; an answer from the runtime has none.
pub(super) fn is_connection_lost(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

fn retry_of(status: &Status) -> Retry {
    if is_connection_lost(status) {
        return Retry::Backoff;
    }
    match status.code() {
        Code::Ok | Code::NotFound | Code::AlreadyExists | Code::Aborted => Retry::Now,
        Code::Unimplemented | Code::InvalidArgument | Code::OutOfRange => Retry::Never,
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => Retry::Backoff,
    }
}
