//! What is written down and what is removed again, and what of that failed: it is tried again until it
//! is done or no longer wanted, whatever else happens meanwhile, and status says so until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Coordinator;
use crate::agent::disk_limits::Eviction;
use crate::api::{ObjectKey, Uid};
use crate::clock::After;
use crate::model::{PodRecord, Reason, SetRecord};
use crate::plan::ports::host_ports;
use crate::store::Error;

/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What could not be written down or removed.
#[derive(Default)]
pub(super) struct Unwritten {
    /// Sets of which a decision could not be written down; they are decided again.
    sets: BTreeSet<ObjectKey>,
    /// Pods that are gone, whose records could not be removed.
    pods: BTreeSet<Uid>,
    /// Sets that are gone, whose records could not be removed.
    gone: BTreeSet<ObjectKey>,
    /// Pods that may not go on, of which that could not be written down, and why.
    evictions: BTreeMap<Uid, Reason>,
    /// When the next try is due; none while nothing failed.
    retry_at: Option<Instant>,
    /// What is wrong with the state directory.
    trouble: Option<Reason>,
}

impl Unwritten {
    /// When the next try is due.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The reason for a set of which a decision could not be written down.
    pub fn reason_of(&self, set: &ObjectKey) -> Option<&Reason> {
        self.trouble.as_ref().filter(|_| self.sets.contains(set))
    }

    /// A pod's eviction is to be tried again; it failed to be written.
    pub fn evict_again(&mut self, uid: Uid, reason: Reason) {
        self.evictions.insert(uid, reason);
    }

    /// Takes in a failure. The log says once what is wrong with the directory, not what all could not
    /// be written.
    fn fail(&mut self, what: &dyn std::fmt::Display, error: &Error) {
        debug!(%what, %error, "could not be written down; nothing is done");
        self.retry_at.get_or_insert(Instant::now().after(RETRY));
        let message = format!(
            "{}; what was decided is tried again every {} s",
            error.cause(),
            RETRY.as_secs()
        );
        if self
            .trouble
            .as_ref()
            .is_none_or(|old| old.message != message)
        {
            warn!(%what, "the state directory cannot be written: {message}");
            self.trouble = Some(Reason::new(WORD, message));
        }
    }

    /// After a pass: whether everything is written again.
    fn settle(&mut self) {
        if self.retry_at.is_none() && self.trouble.take().is_some() {
            info!("the state directory can be written again");
        }
    }
}

/// The word of the reason; Kubernetes has none, because there nothing is decided on the node.
const WORD: &str = "StateNotWritten";

impl Coordinator {
    /// Tries again what is due.
    pub(super) fn retry_writes(&mut self) {
        if self.unwritten.retry_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.unwritten.retry_at = None;
        self.dirty.append(&mut self.unwritten.sets);
        for (uid, reason) in std::mem::take(&mut self.unwritten.evictions) {
            self.evict(Eviction { uid, reason });
        }
        for uid in std::mem::take(&mut self.unwritten.pods) {
            self.remove_record(&uid);
        }
        for set in std::mem::take(&mut self.unwritten.gone) {
            // One that is back by now keeps its record.
            if !self.sets.contains_key(&set) {
                self.remove_set_record(&set);
            }
        }
    }

    /// Ends a pass: says in the view what keeps the agent from its work.
    pub(super) fn settle_writes(&mut self) {
        self.unwritten.settle();
        let troubles = self.unwritten.trouble.iter().chain(&self.foreign.trouble);
        let mut troubles: Vec<Reason> = troubles.cloned().collect();
        if let Some(why) = self
            .snapshot
            .unkept
            .as_ref()
            .filter(|_| troubles.is_empty())
        {
            let message = format!("the last good manifests cannot be kept: {why}; tried again");
            troubles.push(Reason::new(WORD, message));
        }
        self.reporter.report_troubles(&troubles);
    }

    /// Writes a pod's record down; false when that failed, and nothing may follow from it.
    pub(super) fn write(&mut self, record: &PodRecord) -> bool {
        let written = self.disk.with(|store| match record.ending_since {
            Some(_) => store.end_pod(record),
            None => store.put_pod(record),
        });
        match written {
            Ok(()) => true,
            Err(error) => {
                self.unwritten.fail(&record.key, &error);
                self.unwritten.sets.insert(record.set.clone());
                false
            }
        }
    }

    /// Writes a set's record down; false when that failed, and nothing may follow from it.
    pub(super) fn write_set(&mut self, record: &SetRecord) -> bool {
        match self.disk.with(|store| store.put_set(record)) {
            Ok(()) => true,
            Err(error) => {
                self.unwritten.fail(&record.set, &error);
                self.unwritten.sets.insert(record.set.clone());
                false
            }
        }
    }

    /// A pod of which nothing is left.
    pub(super) fn forget(&mut self, uid: &Uid) {
        self.remove_record(uid);
        if let Some(slot) = self.ledger.remove(uid) {
            info!(pod = %slot.record.key, "gone");
            let spec = slot.record.pod.spec.as_ref();
            if spec.is_some_and(|spec| !host_ports(spec).is_empty()) {
                // Somebody may have waited for its ports.
                self.dirty.extend(self.ledger.sets().cloned());
            }
        }
        self.gone.insert(uid.clone(), Instant::now());
    }

    fn remove_record(&mut self, uid: &Uid) {
        if let Err(error) = self.disk.with(|store| store.remove_pod(uid)) {
            self.unwritten.fail(uid, &error);
            self.unwritten.pods.insert(uid.clone());
        }
    }

    /// Forgets a set that is gone with all its pods.
    pub(super) fn forget_set(&mut self, key: &ObjectKey) {
        if self.sets.remove(key).is_some() {
            self.remove_set_record(key);
        }
    }

    fn remove_set_record(&mut self, key: &ObjectKey) {
        if let Err(error) = self.disk.with(|store| store.remove_set(key)) {
            self.unwritten.fail(key, &error);
            self.unwritten.gone.insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::agent::events::EventSink;
    use crate::agent::kept::Kept;
    use crate::agent::order::Order;
    use crate::agent::reporter::Reporter;
    use crate::agent::state_disk::Disk;
    use crate::blocking::Blocking;
    use crate::clock;
    use crate::model::DesiredPod;
    use crate::store::Store;

    #[test]
    fn an_eviction_that_could_not_be_written_is_done_as_soon_as_it_can() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(state.path()).expect("opened"));
        let pod = DesiredPod::of_test(serde_json::json!({"containers": []}), &[]).record;
        store.put_pod(&pod).expect("written");
        let kept = Kept {
            pods: vec![PodRecord::clone(&pod)],
            sets: Vec::new(),
        };
        let (wanted, _asked) = watch::channel(BTreeSet::new());
        let (_answers, found) = watch::channel(Arc::default());
        let mut coordinator = Coordinator::new(
            Disk::new(&store, &Blocking::default(), "state directory"),
            kept,
            Box::new(|_| {}),
            Reporter::new(clock::steady()),
            EventSink::new().0,
            Order::new(wanted, found),
            clock::steady,
        );
        let (records, away) = (state.path().join("records"), state.path().join("away"));
        fs::rename(&records, &away).expect("moved");
        let uid = pod.key.uid.clone();
        let reason = Reason::new("Evicted", "it is too large");
        coordinator.evict(Eviction {
            uid: uid.clone(),
            reason: reason.clone(),
        });
        let record = |coordinator: &Coordinator| {
            let slot = coordinator.ledger.get(&uid).expect("it is there");
            PodRecord::clone(&slot.record)
        };
        assert_eq!(record(&coordinator).ending_since, None, "not on disk yet");
        let retry_at = coordinator.unwritten.retry_at().expect("it is tried again");
        assert!(retry_at <= Instant::now().after(RETRY));

        fs::rename(&away, &records).expect("moved back");
        coordinator.unwritten.retry_at = Some(Instant::now());
        coordinator.retry_writes();
        let now = record(&coordinator);
        assert!(now.ending_since.is_some());
        assert_eq!(now.evicted, Some(reason));
        assert_eq!(store.pods().expect("read").0, [now]);
        assert!(
            coordinator.unwritten.retry_at().is_none()
                && coordinator.unwritten.evictions.is_empty()
        );
    }
}
