//! What is known of this node: the facts eligibility and status are decided from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Reason;

/// A snapshot of the node's identity; changes are published as a whole new value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// The node's name (`spec.nodeName` of its pods).
    pub name: String,
    /// The kernel's hostname, as it is.
    pub hostname: String,
    /// Labels: the configuration's over those the node knows of itself.
    pub labels: BTreeMap<String, String>,
    /// Taints, in the configuration's order.
    pub taints: Vec<Taint>,
    /// Whether the node is cordoned.
    pub unschedulable: bool,
    /// The node's addresses, the one that pods on the host network report first; one a family.
    pub addresses: Vec<IpAddr>,
    /// Online processors.
    pub cpus: u64,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
    /// Memory in bytes that pods may use: the machine's less what is reserved.
    pub allocatable_memory_bytes: u64,
    /// Processor time in thousandths of a core that pods may use.
    pub allocatable_cpu_millis: u64,
    /// Bytes of swap the machine has.
    pub swap_bytes: u64,
    /// How many processes and threads the kernel allows; 0 where that is not known.
    pub pids: u64,
    /// How many of them pods may use: the kernel's less what is reserved.
    pub allocatable_pids: u64,
    /// Bytes of the filesystem of the state directory.
    pub ephemeral_storage_bytes: u64,
    /// Huge page sizes in bytes the kernel offers, with how many pages of each exist.
    pub hugepages: BTreeMap<u64, u64>,
    /// The operating system's pretty name, kernel release, machine id and boot id for the Node object.
    pub system: BTreeMap<String, String>,
    /// What of the machine is not as pods will need it, though the agent runs on.
    pub notes: Vec<Reason>,
}

/// A taint as `v1.Taint` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// The taint's key, a label key.
    pub key: String,
    /// The taint's value, empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What the taint does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaintEffect {
    /// Not started.
    NoSchedule,
    /// Avoided by schedulers; never blocks a DaemonSet pod.
    PreferNoSchedule,
    /// Not started, and ended where it runs.
    NoExecute,
}

impl TaintEffect {
    /// Kubernetes' word for the effect.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

impl fmt::Display for Taint {
    /// `key=value:Effect`, as kubectl writes a taint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        write!(f, ":{}", self.effect.as_str())
    }
}
