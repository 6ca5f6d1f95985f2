//! Says in CRI's words what a pod is: the sandbox and container configurations, as kubelet v1.36
//! makes them (recorded in `tests/vectors/cri`).
//!
//! Pure: it reads no file, asks no system and changes nothing. What depends on the host comes in
//! through [`Host`] and the values that [`files`](super::files) prepared.

pub mod cgroup;
pub mod container;
pub mod dns;
pub mod env;
pub mod labels;
pub mod linux;
pub mod mounts;
pub mod names;
pub mod profiles;
pub mod sandbox;
pub mod security;
pub mod sysctls;

use std::path::PathBuf;
use std::sync::Arc;

use crate::api::ContainerName;
use crate::cri;
use crate::model::{DesiredPod, ImageState, NodeFacts, VolumePaths};

pub use crate::cri::CgroupDriver;
pub use container::container;
pub use labels::container_hash;
pub use sandbox::sandbox;

/// What translation must know of the host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The node.
    pub node: Arc<NodeFacts>,
    /// Directory with one directory a pod uid: volumes, `etc-hosts`, termination logs.
    pub pods_root: PathBuf,
    /// Directory of the containers' logs.
    pub pod_logs: PathBuf,
    /// The cgroup under which pods' cgroups are made, as a path (`/setlet`) for both drivers.
    pub cgroup_root: String,
    /// Who makes cgroups, and so how they are named.
    pub cgroup_driver: cri::CgroupDriver,
    /// The host's resolver configuration, read by [`super::files::prepare_pod`]; empty where pods look
    /// nothing up.
    pub resolv_conf: PathBuf,
    /// What the runtime and kernel can do.
    pub features: RuntimeFeatures,
    /// Kubelet's settings that shape pods.
    pub settings: PodSettings,
}

/// What the runtime and the kernel can do; everything false is the least of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct RuntimeFeatures {
    /// Read-only mounts can be made so recursively.
    pub recursive_read_only: bool,
    /// Pods can have a user namespace.
    pub user_namespaces: bool,
    /// Images can be mounted as volumes (containerd 2.1 and newer).
    pub image_volumes: bool,
    /// `supplementalGroupsPolicy: Strict` is honoured.
    pub supplemental_groups_policy: bool,
    /// AppArmor is enabled in the kernel.
    pub apparmor: bool,
    /// SELinux is enabled in the kernel.
    pub selinux: bool,
    /// The host has cgroup v2 alone.
    pub cgroup_v2: bool,
    /// The kernel can bound how much of a cgroup's memory is swapped out.
    pub swap: bool,
}

/// Which containers may be swapped out, in kubelet's words (`memorySwap.swapBehavior`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwapBehavior {
    /// None.
    #[default]
    NoSwap,
    /// Those of burstable pods, in proportion to their memory requests; on cgroup v2 only.
    LimitedSwap,
}

/// Kubelet's settings that shape pods, with kubelet's names and defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSettings {
    /// `clusterDNS`; empty where there is no cluster.
    pub cluster_dns: Vec<String>,
    /// `clusterDomain`; empty where there is no cluster.
    pub cluster_domain: String,
    /// `seccompDefault`: containers without a profile get the runtime's.
    pub seccomp_default: bool,
    /// `cpuCFSQuota`: cpu limits are enforced.
    pub cpu_cfs_quota: bool,
    /// `podPidsLimit`: processes and threads of a pod; none for no limit.
    pub pod_pids_limit: Option<u64>,
    /// `enforceNodeAllocatable: [pods]`: what is reserved is kept from all pods together.
    pub enforce_node_allocatable: bool,
    /// `memorySwap.swapBehavior`: which containers may be swapped out.
    pub swap_behavior: SwapBehavior,
    /// `allowedUnsafeSysctls`: names, or prefixes ending in `*`.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// Directory that `localhostProfile` of seccomp profiles is relative to.
    pub seccomp_root: PathBuf,
}

impl Default for PodSettings {
    fn default() -> Self {
        Self {
            cluster_dns: Vec::new(),
            cluster_domain: String::new(),
            seccomp_default: false,
            cpu_cfs_quota: true,
            pod_pids_limit: None,
            enforce_node_allocatable: true,
            swap_behavior: SwapBehavior::NoSwap,
            allowed_unsafe_sysctls: Vec::new(),
            seccomp_root: PathBuf::from("/var/lib/setlet/seccomp"),
        }
    }
}

/// One container to be made, with what was learned for it.
#[derive(Debug, Clone, Copy)]
pub struct ContainerInput<'a> {
    /// Which container of the pod.
    pub container: &'a ContainerName,
    /// Its attempt: the restart count.
    pub attempt: u32,
    /// Crashes in a row that led here.
    pub backoff_level: u32,
    /// The image made sure of.
    pub image: &'a ImageState,
    /// Host paths of the pod's volumes.
    pub volumes: &'a VolumePaths,
    /// The sandbox's addresses.
    pub ips: &'a [String],
}

/// A pod in messages as kubelet writes it: `NAME_NAMESPACE(UID)`.
fn described(pod: &DesiredPod) -> String {
    let key = pod.key();
    format!("{}_{}({})", key.name, key.namespace, key.uid)
}
