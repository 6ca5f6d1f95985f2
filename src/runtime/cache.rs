//! What was learnt of containers and sandboxes that cannot change any more, so that observing again
//! costs no call for each of them.
//!
//! A cache only: losing it costs calls. It is shared between the clones of the runtime's handle, and
//! its lock is never held while waiting.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::cri;
use crate::model::{ContainerId, SandboxId};

/// What ContainerStatus adds to what ListContainers says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details {
    /// The state these are of.
    pub state: cri::ContainerState,
    /// When its process was started; the epoch when it never was.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its exit status.
    pub exit_code: i32,
    /// The runtime's word.
    pub reason: String,
    /// The runtime's message and the termination message.
    pub message: String,
    /// The log file on the host, where it has one.
    pub log_path: Option<PathBuf>,
    /// The name of the link to its log, where the labels that it is made of are there.
    pub link_name: Option<String>,
}

#[derive(Debug, Default)]
struct Entries {
    containers: HashMap<ContainerId, Details>,
    addresses: HashMap<SandboxId, Vec<String>>,
}

/// The cache; see the module.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Entries>);

impl Cache {
    /// A panic elsewhere leaves nothing half-written here: every change is one insertion.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The details of a container as they are in the given state. An exited container stays
    /// exited, whatever an older list says.
    pub fn container(&self, id: &ContainerId, state: cri::ContainerState) -> Option<Details> {
        let exited = cri::ContainerState::ContainerExited;
        self.entries()
            .containers
            .get(id)
            .filter(|d| d.state == state || d.state == exited)
            .cloned()
    }

    /// The details of a container in whatever state they were read: its files do not change.
    pub fn any(&self, id: &ContainerId) -> Option<Details> {
        self.entries().containers.get(id).cloned()
    }

    /// Keeps details; those of a container whose state is unknown are not worth keeping.
    pub fn put_container(&self, id: &ContainerId, details: &Details) {
        if details.state != cri::ContainerState::ContainerUnknown {
            self.entries()
                .containers
                .insert(id.clone(), details.clone());
        }
    }

    /// The addresses of a sandbox.
    pub fn addresses(&self, id: &SandboxId) -> Option<Vec<String>> {
        self.entries().addresses.get(id).cloned()
    }

    /// Keeps the addresses of a sandbox.
    pub fn put_addresses(&self, id: &SandboxId, addresses: &[String]) {
        self.entries()
            .addresses
            .insert(id.clone(), addresses.to_vec());
    }

    /// Forgets a container: it is removed, or the runtime has learnt more about it.
    pub fn forget(&self, id: &ContainerId) {
        self.entries().containers.remove(id);
    }

    /// Forgets all but these: what a full list says there is.
    pub fn retain(&self, containers: &HashSet<&str>, sandboxes: &HashSet<&str>) {
        let mut entries = self.entries();
        entries
            .containers
            .retain(|id, _| containers.contains(id.0.as_str()));
        entries
            .addresses
            .retain(|id, _| sandboxes.contains(id.0.as_str()));
    }
}
