//! The configuration's sections, each in two shapes: as it is used, every field present, and as a
//! file may have it, every field optional and no others allowed.
//!
//! Names are kubelet's where kubelet has one. There are no defaults here: they stand together in
//! `defaults.yaml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::{Bytes, CpuMillis, Duration, Threshold};

macro_rules! section {
    (
        $(#[$doc:meta])*
        $name:ident, $partial:ident {
            $( $(#[$field_doc:meta])* $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(dead_code, reason = "only its reading matters: it finds errors with their lines")]
        pub(super) struct $partial {
            $( $field: Option<$type>, )*
        }
    };
}

section! {
    /// The manifests directory.
    Manifests, PartialManifests {
        /// The directory.
        path: PathBuf,
        /// How often the directory is read again though no event said so.
        rescan_interval: Duration,
        /// Whether manifests that users other than root can write are accepted.
        allow_unprivileged_owners: bool,
    }
}

section! {
    /// The API server whose DaemonSets are run too.
    Kubernetes, PartialKubernetes {
        /// The kubeconfig file.
        kubeconfig: PathBuf,
    }
}

section! {
    /// Going back to the last good revision by itself.
    Rollback, PartialRollback {
        /// Whether every set is rolled back that does not say otherwise.
        enabled: bool,
        /// How long a revision is given to become available.
        progress_deadline: Duration,
        /// How often its containers may restart meanwhile.
        max_restarts: u32,
    }
}

section! {
    /// Waiting between restarts of a container that ends again and again.
    CrashLoopBackOff, PartialCrashLoopBackOff {
        /// The first wait; each one after is twice as long.
        initial: Duration,
        /// The longest wait.
        max: Duration,
        /// How long a container must run for its crashes to be forgotten.
        reset: Duration,
    }
}

section! {
    /// Image pulls.
    ImagePull, PartialImagePull {
        /// How many images are pulled at the same time.
        max_parallel: u32,
    }
}

section! {
    /// Removal of images nothing uses.
    ImageGc, PartialImageGc {
        /// Disk use, in hundredths, above which images are removed.
        high_threshold_percent: u32,
        /// Disk use, in hundredths, down to which images are removed.
        low_threshold_percent: u32,
        /// How long an image is kept though nothing uses it.
        minimum_age: Duration,
    }
}

section! {
    /// Rotation of container logs.
    ContainerLog, PartialContainerLog {
        /// The size at which a log file is rotated.
        max_size: Bytes,
        /// How many files a container's log may have.
        max_files: u32,
    }
}

section! {
    /// What pods may not use.
    Reserved, PartialReserved {
        /// Processor time.
        cpu: CpuMillis,
        /// Memory.
        memory: Bytes,
        /// Processes and threads.
        pid: u64,
    }
}

section! {
    /// Swap, as kubelet has it.
    MemorySwap, PartialMemorySwap {
        /// `NoSwap` or `LimitedSwap`.
        swap_behavior: SwapBehavior,
    }
}

section! {
    /// The agent's own log.
    Log, PartialLog {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: LogLevel,
    }
}

section! {
    /// Every path the agent writes.
    Paths, PartialPaths {
        /// What must outlive a reboot; mode 0700.
        state: PathBuf,
        /// The socket `setlet.sock`.
        run: PathBuf,
        /// Image archives to import before the first pod.
        images: PathBuf,
        /// Container logs, `NAMESPACE_POD_UID/CONTAINER/N.log`.
        pod_logs: PathBuf,
        /// Links to container logs, as kubelet makes them.
        container_logs: PathBuf,
    }
}

/// Which containers may be swapped out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwapBehavior {
    /// None.
    NoSwap,
    /// Those of burstable pods, in proportion to their memory requests; on cgroup v2 only.
    LimitedSwap,
}

/// On what the node's allocatable resources are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// On all pods together.
    Pods,
    /// On nothing; stands alone.
    None,
}

/// How much the agent logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The level as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A taint of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// A label key.
    pub key: String,
    /// A label value; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What it does to pods that do not tolerate it.
    pub effect: Effect,
}

/// What a taint does, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "Kubernetes' words")]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// The whole configuration as one file may have it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its reading matters: it finds errors with their lines"
)]
pub(super) struct Fragment {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    node_name: Option<String>,
    node_labels: Option<BTreeMap<String, String>>,
    node_taints: Option<Vec<Taint>>,
    container_runtime_endpoint: Option<String>,
    runtime_request_timeout: Option<Duration>,
    resolv_conf: Option<PathBuf>,
    shutdown_grace_period: Option<Duration>,
    manifests: Option<PartialManifests>,
    kubernetes: Option<PartialKubernetes>,
    rollback: Option<PartialRollback>,
    crash_loop_back_off: Option<PartialCrashLoopBackOff>,
    docker_config_file: Option<PathBuf>,
    image_credential_provider_config_file: Option<PathBuf>,
    image_credential_provider_bin_dir: Option<PathBuf>,
    image_pull: Option<PartialImagePull>,
    #[serde(rename = "imageGC")]
    image_gc: Option<PartialImageGc>,
    container_log: Option<PartialContainerLog>,
    eviction_hard: Option<BTreeMap<String, Threshold>>,
    reserved: Option<PartialReserved>,
    enforce_node_allocatable: Option<Vec<Enforcement>>,
    pod_pids_limit: Option<i64>,
    memory_swap: Option<PartialMemorySwap>,
    log: Option<PartialLog>,
    cgroup_root: Option<PathBuf>,
    socket_group: Option<String>,
    paths: Option<PartialPaths>,
}
