//! Ends a pod that may not go on, as kubelet's eviction and the DaemonSet controller do together:
//! its end and the reason for it are on disk first, then the next pass makes another pod.

use tracing::warn;

use super::Coordinator;
use crate::agent::disk_limits::Eviction;
use crate::agent::pods;
use crate::model::{Involved, Note};

impl Coordinator {
    /// Decides the end of a pod that is to be evicted. One that ends already is left alone; one whose
    /// end cannot be written down is tried again as everything that cannot.
    pub(super) fn evict(&mut self, eviction: Eviction) {
        let Some(slot) = self.ledger.get(&eviction.uid) else {
            return;
        };
        if slot.record.ending_since.is_some() {
            return;
        }
        let Eviction { uid, reason } = eviction;
        let record = pods::evicted(&slot.record, reason.clone(), (self.clock)());
        if !self.write(&record) {
            self.unwritten.evict_again(uid, reason);
            return;
        }
        warn!(pod = %record.key, "evicted: {}", reason.message);
        let (key, set) = (&record.key, &record.set);
        let note = Note::warning(Involved::pod(key), reason.word, reason.message);
        self.events.tell(note);
        let message = format!(
            "Found failed daemon pod {key} on node {}, will try to kill it",
            self.node.name
        );
        self.events.warn_of_set(set, "FailedDaemonPod", message);
        let message = format!("Deleted pod: {}", key.name);
        self.events.of_set(set, "SuccessfulDelete", message);
        self.dirty.insert(set.clone());
        if let Some(slot) = self.ledger.get_mut(&uid) {
            slot.record = record;
        }
    }
}
