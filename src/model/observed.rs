//! What the runtime has of one pod, as it was read back from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{ContainerName, ObjectKey, PodKey, Revision};

// The runtime alone gives these: no record, no request and no file has one that is read, so that none
// can name another container's, or be a path.
macro_rules! runtime_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

runtime_id! {
    /// The id the runtime gave a container.
    ContainerId
}
runtime_id! {
    /// The id the runtime gave a sandbox.
    SandboxId
}

/// Everything the runtime has under one pod uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPod {
    /// Namespace, name and uid, from the labels.
    pub key: PodKey,
    /// The DaemonSet it was made for, from the label.
    pub set: ObjectKey,
    /// The revision it was made of, from the label.
    pub revision: Revision,
    /// The state directory of the agent that made it (annotation `setlet.dev/state`).
    pub state_dir: Option<String>,
    /// Its sandboxes, newest attempt first.
    pub sandboxes: Vec<ObservedSandbox>,
    /// Its containers, of all sandboxes, newest first within one name.
    pub containers: Vec<ObservedContainer>,
}

/// Whether a sandbox can hold containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    /// Its pause process runs.
    Ready,
    /// It is stopped, or its pause process is gone.
    NotReady,
}

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSandbox {
    /// The runtime's id.
    pub id: SandboxId,
    /// The attempt it was made with, from 0.
    pub attempt: u32,
    /// Whether it is ready.
    pub state: SandboxState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its addresses, first the primary one; empty on the host network.
    pub ips: Vec<String>,
}

/// A container's state, with what only that state has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running since.
    Running {
        /// When its process was started.
        started_at: Timestamp,
    },
    /// Ended.
    Exited {
        /// When its process was started; the epoch when it never was.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
        /// The exit status, 128 + signal where a signal ended it.
        exit_code: i32,
        /// The runtime's word: `Completed`, `Error`, `OOMKilled`, `StartError`, …
        reason: String,
        /// The runtime's message, or the termination message.
        message: String,
    },
    /// The runtime lost track of it.
    Unknown,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The runtime's id.
    pub id: ContainerId,
    /// Its name in the pod.
    pub name: ContainerName,
    /// The attempt it was made with: its restart count.
    pub attempt: u32,
    /// The sandbox it is in.
    pub sandbox: SandboxId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its state.
    pub state: ContainerState,
    /// The image as the pod names it.
    pub image: String,
    /// The image's id in the runtime.
    pub image_ref: String,
    /// How many crashes in a row led to it (annotation `setlet.dev/backoff-level`): what the
    /// back-off of its own exit is computed from, so that it survives the agent.
    pub backoff_level: u32,
    /// Why the registry could not be asked for its image, where it could not (annotation
    /// `setlet.dev/image-stale`).
    pub image_stale: Option<String>,
    /// The hash of the part of the specification it was made of (annotation
    /// `io.kubernetes.container.hash`).
    pub hash: String,
    /// The pod's grace period in seconds when it was made (annotation
    /// `io.kubernetes.pod.terminationGracePeriod`).
    pub grace_seconds: Option<i64>,
}

impl ObservedPod {
    /// The sandbox that is ready and newest, if any.
    #[must_use]
    pub fn ready_sandbox(&self) -> Option<&ObservedSandbox> {
        self.sandboxes
            .iter()
            .filter(|s| s.state == SandboxState::Ready)
            .max_by_key(|s| s.attempt)
    }

    /// Whether a list shows the same sandboxes and containers in the same states; it knows no more.
    #[must_use]
    pub fn is_as_listed(&self, listed: &Self) -> bool {
        let sandboxes = |pod: &Self| -> BTreeSet<_> {
            let all = pod.sandboxes.iter();
            all.map(|s| (s.id.clone(), s.state == SandboxState::Ready))
                .collect()
        };
        let containers = |pod: &Self| -> BTreeMap<_, _> {
            let all = pod.containers.iter();
            all.map(|c| (c.id.clone(), std::mem::discriminant(&c.state)))
                .collect()
        };
        sandboxes(self) == sandboxes(listed) && containers(self) == containers(listed)
    }

    /// The newest container of a name.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&ObservedContainer> {
        self.containers
            .iter()
            .filter(|c| c.name.as_str() == name)
            .max_by_key(|c| (c.attempt, c.created_at))
    }
}

impl ObservedContainer {
    /// Whether its process runs, as far as the runtime knows.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        matches!(self.state, ContainerState::Exited { .. })
    }
}
