//! What was learnt of containers and sandboxes that cannot change any more, so that observing again
//! costs no call for each of them.
//!
//! An end that the runtime's events announced is known here before the runtime's lists show it.
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
    /// Whether its end is known from an event alone: good until the runtime shows it too, which then
    /// has more to say of it.
    pub announced: bool,
    /// Whether a full list since then showed it as running still.
    pub disputed: bool,
}

/// How a container ended, as an event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// When.
    pub at: Timestamp,
    /// The exit status, 128 + signal where a signal ended it.
    pub exit_code: i32,
}

#[derive(Debug, Default)]
struct Entries {
    containers: HashMap<ContainerId, Details>,
    addresses: HashMap<SandboxId, Vec<String>>,
    /// By id: when a sandbox or container was made, in nanoseconds, as first reckoned.
    made: HashMap<String, i64>,
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
            .filter(|d| {
                if d.announced {
                    state != exited
                } else {
                    d.state == state || d.state == exited
                }
            })
            .cloned()
    }

    /// The details of a container that a full list shows in this state. An end that two lists in a row
    /// do not show has not come about, whatever was announced.
    pub fn listed(&self, id: &ContainerId, state: cri::ContainerState) -> Option<Details> {
        let mut entries = self.entries();
        let known = entries.containers.get_mut(id);
        if let Some(details) = known.filter(|d| d.announced)
            && state == cri::ContainerState::ContainerRunning
            && std::mem::replace(&mut details.disputed, true)
        {
            entries.containers.remove(id);
        }
        drop(entries);
        self.container(id, state)
    }

    /// When a sandbox or container was made: what was reckoned when it was first heard of.
    pub fn made(&self, id: &str, reckon: impl FnOnce() -> i64) -> i64 {
        let mut entries = self.entries();
        if let Some(made) = entries.made.get(id) {
            return *made;
        }
        *entries.made.entry(id.to_owned()).or_insert_with(reckon)
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

    /// Takes in that a container has ended; false where nothing is known of it as running.
    pub fn announce(&self, id: &ContainerId, end: End) -> bool {
        let mut entries = self.entries();
        let running = cri::ContainerState::ContainerRunning;
        let known = entries.containers.get_mut(id);
        let Some(details) = known.filter(|d| d.state == running) else {
            return false;
        };
        details.state = cri::ContainerState::ContainerExited;
        details.finished_at = end.at.max(details.started_at);
        details.exit_code = end.exit_code;
        // As CRI calls it; that memory was short is said with the status.
        details.reason = match end.exit_code {
            0 => "Completed".to_owned(),
            _ => "Error".to_owned(),
        };
        details.announced = true;
        true
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
        let is_there = |id: &str| containers.contains(id) || sandboxes.contains(id);
        entries.made.retain(|id, _| is_there(id));
        entries
            .addresses
            .retain(|id, _| sandboxes.contains(id.0.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cri::ContainerState::{ContainerExited as Exited, ContainerRunning as Running};

    #[test]
    fn an_announced_end_is_known_until_the_runtime_shows_it_too() {
        let (cache, id) = (Cache::default(), ContainerId("c".into()));
        let end = End {
            at: Timestamp::from_second(9).unwrap(),
            exit_code: 137,
        };
        assert!(!cache.announce(&id, end), "nothing is known of it");
        let running = Details {
            state: Running,
            started_at: Timestamp::from_second(5).unwrap(),
            finished_at: Timestamp::UNIX_EPOCH,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            log_path: None,
            link_name: None,
            announced: false,
            disputed: false,
        };
        cache.put_container(&id, &running);
        assert!(cache.announce(&id, end));
        let announced = Details {
            state: Exited,
            finished_at: end.at,
            exit_code: 137,
            reason: "Error".into(),
            announced: true,
            ..running
        };
        assert_eq!(cache.container(&id, Running), Some(announced.clone()));
        assert_eq!(cache.container(&id, Exited), None, "it is asked about");
        assert!(!cache.announce(&id, end), "it ends once");

        let shown = Details {
            reason: "OOMKilled".into(),
            announced: false,
            ..announced
        };
        cache.put_container(&id, &shown);
        assert_eq!(cache.container(&id, Exited), Some(shown.clone()));
        assert_eq!(cache.container(&id, Running), Some(shown), "an older list");
    }

    #[test]
    fn an_announced_end_that_two_lists_do_not_show_has_not_come_about() {
        let (cache, id) = (Cache::default(), ContainerId("c".into()));
        let at = Timestamp::from_second(5).unwrap();
        let running = Details {
            state: Running,
            started_at: at,
            finished_at: Timestamp::UNIX_EPOCH,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            log_path: None,
            link_name: None,
            announced: false,
            disputed: false,
        };
        cache.put_container(&id, &running);
        assert!(cache.announce(&id, End { at, exit_code: 0 }));
        let listed = |state| cache.listed(&id, state).map(|details| details.state);
        assert_eq!(listed(Running), Some(Exited), "the list may be older");
        assert_eq!(listed(Running), None, "it is asked about");
        assert_eq!(cache.container(&id, Running), None);
    }
}
