//! What is known of this machine: its name, labels, taints, addresses and capacity, as one
//! [`NodeFacts`]; whether a kubelet here would fight with the agent; what sets wait for; and whether
//! it goes down.
//!
//! Follows kubelet v1.36 where it registers its Node object. Decides nothing about pods.

mod addresses;
mod awaited;
mod capacity;
mod error;
mod identity;
pub mod kubelet;
pub mod ports;
mod shutdown;
mod system;
mod systemctl;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{NodeFacts, Taint};

pub use awaited::watch_conditions;
pub use error::Error;
pub use identity::architecture;
pub use shutdown::goes_down;

/// What the configuration says of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The node's name; the hostname where it is absent.
    pub name: Option<String>,
    /// Labels, over those the node knows of itself.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Processor time that pods may not use, in thousandths of a core.
    pub reserved_cpu_millis: u64,
    /// Memory that pods may not use, in bytes.
    pub reserved_memory_bytes: u64,
    /// Processes and threads that pods may not use.
    pub reserved_pids: u64,
    /// The state directory, whose filesystem's size is the node's ephemeral storage.
    pub state: PathBuf,
}

/// Reads the facts of this machine. Whether it is cordoned is not known here.
///
/// # Errors
///
/// The hostname cannot be read or is no node name and none is configured, or the kernel does not
/// tell memory or processors. What is only shown is left out where it cannot be read.
pub fn facts(settings: &Settings) -> Result<NodeFacts, Error> {
    let hostname = identity::hostname()?;
    let name = identity::name(settings.name.as_deref(), &hostname)?;
    let capacity = capacity::read(&settings.state)?;
    Ok(NodeFacts {
        labels: identity::labels(&name, architecture(), &settings.labels),
        taints: settings.taints.clone(),
        unschedulable: false,
        addresses: addresses::read(),
        cpus: capacity.cpus,
        memory_bytes: capacity.memory_bytes,
        allocatable_memory_bytes: capacity
            .memory_bytes
            .saturating_sub(settings.reserved_memory_bytes),
        allocatable_cpu_millis: (capacity.cpus * 1000).saturating_sub(settings.reserved_cpu_millis),
        swap_bytes: capacity.swap_bytes,
        pids: capacity.pids,
        allocatable_pids: capacity.pids.saturating_sub(settings.reserved_pids),
        ephemeral_storage_bytes: capacity.storage_bytes,
        hugepages: capacity.hugepages,
        system: system::read(),
        notes: Vec::new(),
        name,
        hostname,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_facts() {
        let state = std::env::temp_dir();
        let settings = Settings {
            name: Some("edge-17".to_owned()),
            reserved_cpu_millis: 100,
            reserved_memory_bytes: 1 << 20,
            reserved_pids: 1000,
            state,
            ..Settings::default()
        };
        let facts = facts(&settings).expect("facts");
        assert_eq!(facts.name, "edge-17");
        assert_eq!(facts.labels["kubernetes.io/hostname"], "edge-17");
        assert!(!facts.hostname.is_empty());
        assert!(facts.cpus > 0);
        assert_eq!(facts.allocatable_cpu_millis, facts.cpus * 1000 - 100);
        assert_eq!(
            facts.allocatable_memory_bytes,
            facts.memory_bytes - (1 << 20)
        );
        assert!(facts.pids > 1000);
        assert_eq!(facts.allocatable_pids, facts.pids - 1000);
        assert!(facts.memory_bytes > 1 << 26 && facts.ephemeral_storage_bytes > 0);
        assert!(facts.system.contains_key("kernelVersion"));
        assert!(facts.addresses.iter().all(|a| !a.is_loopback()));
    }
}
