//! Pods in the runtime that carry this node's name and that no record tells of.
//!
//! The state directory was lost, or the agent was killed before it wrote: one that matches its set's
//! revision is adopted, any other is ended. Or another agent has the same name: while it lives, nothing
//! of its pods is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Coordinator;
use crate::agent::ledger::Slot;
use crate::agent::sweep::Whose;
use crate::agent::{pods, state_disk};
use crate::api::Uid;
use crate::blocking::Progress;
use crate::clock::After;
use crate::model::{ObservedPod, Reason};
use crate::store;

/// The word of the reason for two agents with one name.
const WORD: &str = "NodeNameInUse";

/// How long the state directory of another agent is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long what was found of one counts, where pods are left alone because of it.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of other agents that have this node's name.
#[derive(Default)]
pub(super) struct Foreign {
    /// By state directory, why its pods are left alone, if they are; looked for once a list.
    used: BTreeMap<PathBuf, Option<Reason>>,
    /// When to look again although there is no newer list.
    retry_at: Option<Instant>,
    /// What is wrong, where one of them lives.
    pub trouble: Option<Reason>,
}

impl Foreign {
    /// Looks again: there is a newer list.
    pub fn forget(&mut self) {
        self.used.clear();
        self.retry_at = None;
    }

    /// When to look again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Coordinator {
    /// Adopts or ends what no record tells of.
    pub(super) fn take_in_strangers(&mut self) {
        let Some(listed) = self.inventory.clone() else {
            return;
        };
        let due = self.foreign.retry_at;
        if due.is_some_and(|at| at <= Instant::now()) {
            self.foreign.forget();
        }
        let mut foreign = None;
        for found in listed.values() {
            let uid = &found.key.uid;
            if self.ledger.get(uid).is_some() || self.gone.contains_key(uid) {
                continue;
            }
            if let Some(why) = self.other_agent(found) {
                foreign = Some(why);
            } else if self.snapshot.synced {
                self.take_in(found);
            }
        }
        self.name_other_agent(foreign);
    }

    /// Why this pod is left alone: another agent made it that lives, or may.
    fn other_agent(&mut self, found: &ObservedPod) -> Option<Reason> {
        let state = Path::new(found.state_dir.as_ref()?);
        if let Some(known) = self.foreign.used.get(state) {
            return known.clone();
        }
        let why = self.ask_whether_used(state);
        if why.is_some() {
            let again = Instant::now().after(AGAIN);
            self.foreign.retry_at.get_or_insert(again);
        }
        self.foreign.used.insert(state.to_owned(), why.clone());
        why
    }

    /// Looks at another agent's state directory, which may lie anywhere: it is not waited for for long.
    fn ask_whether_used(&self, state: &Path) -> Option<Reason> {
        let (other, own) = (state.to_owned(), self.disk.store().root().to_owned());
        let shown = state.display();
        let name = format!("the state directory {shown} that pods in this runtime name");
        let look = move |progress: &Progress| {
            progress.begin(name).ok();
            store::is_used_by_other(&other, &own)
        };
        let lane = format!("whether the state directory {shown} is in use");
        match self.disk.blocking().ask(lane, PATIENCE, look) {
            Ok(false) => None,
            Ok(true) => {
                let message = format!(
                    "another agent with the node name {} and the state directory {shown} has pods in \
                     this runtime; they are left alone. Give one of the two another nodeName",
                    self.node.name
                );
                Some(Reason::new(WORD, message))
            }
            Err(unanswered) => {
                let message = format!("{unanswered}; those pods are left alone until it does");
                Some(Reason::new(state_disk::WORD, message))
            }
        }
    }

    fn name_other_agent(&mut self, trouble: Option<Reason>) {
        if let Some(reason) = trouble.as_ref().filter(|_| self.foreign.trouble.is_none()) {
            warn!("{}", reason.message);
        }
        self.foreign.trouble = trouble;
    }

    /// Which uids no pod has, here or in the runtime.
    pub(super) fn tell_whose(&self, whose: Whose) {
        let nobodys = self.inventory.as_ref().map(|listed| {
            let is_nobodys =
                |uid: &Uid| self.ledger.get(uid).is_none() && !listed.contains_key(uid);
            let found = whose.found.into_iter();
            found.filter(is_nobodys).collect::<BTreeSet<Uid>>()
        });
        // Whoever asked may be gone with the agent.
        whose.reply.send(nobodys).ok();
    }

    fn take_in(&mut self, found: &ObservedPod) {
        let now = (self.clock)();
        let set = self.snapshot.sets.get(&found.set);
        let set = set.map(|(set, _)| Arc::clone(set));
        let alone = self.ledger.of_set(&found.set).is_empty();
        let node = &self.node.name;
        let adopted = set
            .filter(|set| alone && *set.revision() == found.revision)
            .and_then(|set| pods::adopted_record(&set, node, found, now).ok());
        let is_orphan = adopted.is_none();
        let record = adopted.unwrap_or_else(|| pods::orphan_record(found, node, now));
        // The end of a stranger is decided by its being one, and that is found again.
        if self.write(&record) || is_orphan {
            info!(pod = %found.key, adopted = !is_orphan, "found in the runtime without a record");
            let mut slot = Slot::new(Arc::new(record));
            slot.see(found);
            self.ledger.add(slot);
            self.dirty.insert(found.set.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::watch;

    use super::*;
    use crate::agent::events::EventSink;
    use crate::agent::kept::Kept;
    use crate::agent::order::Order;
    use crate::agent::reporter::Reporter;
    use crate::agent::state_disk::Disk;
    use crate::blocking::Blocking;
    use crate::clock;
    use crate::status::tests::fixture;
    use crate::store::Store;

    #[tokio::test]
    async fn a_state_directory_that_does_not_answer_is_waited_for_only_shortly() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(state.path()).expect("opened"));
        let (wanted, _asked) = watch::channel(BTreeSet::new());
        let (_answers, found) = watch::channel(Arc::default());
        let blocking = Blocking::default();
        let mut coordinator = Coordinator::new(
            Disk::new(&store, &blocking, "state directory"),
            Kept {
                pods: Vec::new(),
                sets: Vec::new(),
            },
            Box::new(|_| {}),
            Reporter::new(clock::steady()),
            EventSink::new().0,
            Order::new(wanted, found),
            clock::steady,
        );
        let set = fixture::set("default", "web", "");
        let pod = fixture::pod(
            &set,
            "web-a",
            vec![fixture::container("main", 0, fixture::running(1))],
        );
        let mut pod = ObservedPod::clone(pod.have.as_deref().expect("it is there"));
        pod.state_dir = Some("/mnt/dead/setlet".to_owned());
        let uid = pod.key.uid.clone();
        coordinator.inventory = Some(Arc::new(BTreeMap::from([(uid.clone(), pod)])));
        coordinator.snapshot = Arc::new(crate::model::Snapshot {
            synced: true,
            ..crate::model::Snapshot::default()
        });
        // Its lane waits for a mount, as the look at the directory would.
        let (free, hangs) = mpsc::channel::<()>();
        let lane = "whether the state directory /mnt/dead/setlet is in use";
        let asked = blocking.ask(lane, Duration::ZERO, move |_| hangs.recv().ok());
        assert!(asked.is_err());
        coordinator.take_in_strangers();
        assert!(coordinator.ledger.get(&uid).is_none(), "it is left alone");
        let why = coordinator.foreign.trouble.clone().expect("a reason");
        assert!(
            why.message
                .ends_with("; those pods are left alone until it does"),
            "{why}"
        );
        assert!(coordinator.foreign.retry_at().is_some());

        // Once it answers, nobody uses it.
        drop(free);
        while blocking.is_busy(&lane.into()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        coordinator.foreign.retry_at = Some(Instant::now());
        coordinator.take_in_strangers();
        assert!(coordinator.ledger.get(&uid).is_some());
        assert_eq!(coordinator.foreign.trouble, None);
    }
}
