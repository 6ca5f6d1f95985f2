//! What a worker remembers of its own actions that the runtime cannot tell it: images it made sure
//! of, volumes it prepared, failures and when they happened. Losing it costs repeated checks, never
//! a restart of a running container.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{ContainerId, HostPort, ObservedPod, Probed, Reason, References, SandboxId};

/// The memory of one pod's worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodMemory {
    /// Image state by image reference as the pod writes it.
    pub images: BTreeMap<String, ImageState>,
    /// The newest failure of each image's pulls since one succeeded, by image reference.
    pub pulls_failed: BTreeMap<String, Failure>,
    /// Images of containers that were made although the registry could not be asked, by image
    /// reference.
    pub stale: BTreeMap<String, Stale>,
    /// The pod's volumes on the host.
    pub volumes: VolumeState,
    /// Host ports that have to be free before the pod is switched to.
    pub ports: PortState,
    /// Failures of making the sandbox since the last success.
    pub sandbox: Option<Failure>,
    /// Sandboxes that were stopped in this life of the worker: a dead one looks the same before and
    /// after, but its network is released only by a stop.
    pub stopped: BTreeSet<SandboxId>,
    /// How often the stop of a sandbox has failed.
    pub unreleased: BTreeMap<SandboxId, u32>,
    /// By container name: failures of creating or starting it.
    pub containers: BTreeMap<String, ContainerMemory>,
    /// By container: what became of its hooks, and whether a probe ended it.
    pub instances: BTreeMap<ContainerId, InstanceMemory>,
    /// What the probes say, newest word.
    pub probes: Arc<Probed>,
    /// Failure of ending or cleaning up.
    pub teardown: Option<Failure>,
    /// Whether the volumes and files of an ended pod are already gone.
    pub torn_down: bool,
    /// Whether what is done shows.
    pub effect: Effect,
}

/// What came of the actions that were answered as done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// What was seen of the pod last.
    pub seen: Option<Arc<ObservedPod>>,
    /// The last action, until the next look.
    pub done: Option<Done>,
    /// How often, since what is seen changed, an action changed nothing.
    pub fruitless: Option<Failure>,
}

/// An action that was answered as done.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The action, in words.
    pub what: String,
    /// Whether the next look must show a difference: nothing else tells that it was done.
    pub shows: bool,
    /// When it was answered.
    pub at: Timestamp,
}

/// A failure that is tried again with back-off.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What failed, in Kubernetes' words.
    pub reason: Reason,
    /// How many times in a row, from 1.
    pub times: u32,
    /// When it last failed.
    pub last: Timestamp,
}

/// What is known of an image that stands in for what its registry may have.
#[derive(Debug, Clone, PartialEq)]
pub struct Stale {
    /// Why the registry could not be asked.
    pub failure: Failure,
    /// Whether it is being asked again.
    pub asked: bool,
}

/// What is known of one image of the pod.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageState {
    /// Asked for; other pulls come first.
    Queued,
    /// There; the runtime unpacks it.
    Unpacking,
    /// Asked for; the runtime is at it.
    Pulling {
        /// When the pull was asked for.
        since: Timestamp,
        /// Bytes so far, where the runtime tells.
        progress: PullProgress,
    },
    /// Not there yet; archives are being imported, of which one may bring it.
    Importing,
    /// In the runtime, under this id.
    Present {
        /// The image's id.
        image_ref: String,
        /// The numeric user of the image's configuration, where it has one.
        uid: Option<i64>,
        /// The user name of the image's configuration, where it is a name.
        username: String,
        /// When it was made sure of; a policy of `Always` is satisfied for starts decided before it.
        at: Timestamp,
        /// Why a pull that the policy wanted was not possible, where the present image stands in.
        stale: Option<Reason>,
        /// What it took to pull it, where that was done for this answer.
        pulled: Option<PullFigures>,
    },
    /// Not to be had now.
    Failed(Failure),
}

impl ImageState {
    /// Whether a hint will say that there is news of the image.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        match self {
            Self::Queued | Self::Unpacking | Self::Pulling { .. } | Self::Importing => true,
            Self::Present { .. } | Self::Failed(_) => false,
        }
    }
}

/// Bytes of a running pull; both 0 where the runtime does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PullProgress {
    /// Bytes fetched.
    pub done: u64,
    /// Bytes in all, as far as known.
    pub total: u64,
}

/// What is known of host ports.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum PortState {
    /// Not looked at in this life of the worker.
    #[default]
    Unknown,
    /// These were free.
    Free(Vec<HostPort>),
    /// One of them is in use.
    Failed(Failure),
}

/// What a pull took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullFigures {
    /// The time from the call to its end.
    pub took: Duration,
    /// The image's size in bytes.
    pub size: u64,
}

/// What is remembered of one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerMemory {
    /// Failures of creating or starting it since the last success.
    pub failure: Option<Failure>,
}

/// What is remembered of one instance of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstanceMemory {
    /// How far its `postStart` hook is, where it has one.
    pub post_start: PostStart,
    /// Whether its `preStop` hook has run.
    pub pre_stopped: bool,
    /// Whether it was stopped because a probe failed.
    pub unhealthy: bool,
    /// Whether its resources were changed to what its pod has now.
    pub resized: bool,
}

/// How far a `postStart` hook is.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum PostStart {
    /// Not known in this life of the worker; asking again is harmless.
    #[default]
    Unknown,
    /// It succeeded.
    Done,
    /// It failed, and so did the container's start.
    Failed(Reason),
}

/// Host paths of the pod's volumes by volume name.
pub type VolumePaths = BTreeMap<String, PathBuf>;

/// How far the pod's volumes are.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum VolumeState {
    /// Not looked at in this life of the worker.
    #[default]
    Unknown,
    /// On the host, with the content of these references.
    Prepared {
        /// Host paths by volume name.
        paths: Arc<VolumePaths>,
        /// The objects the content was made of.
        references: Arc<References>,
    },
    /// Could not be prepared.
    Failed(Failure),
}
