//! Carries out what was decided for a set: makes and renews pods, begins trials, and tells the
//! workers. Each step is on disk before the next.

use std::sync::Arc;

use tracing::info;

use super::Coordinator;
use super::decide::Decision;
use crate::agent::ledger::Slot;
use crate::agent::pods;
use crate::api::{ObjectKey, Revision, Uid};
use crate::model::{Goal, Reason, SetRecord};
use crate::plan::in_place::renewed;
use crate::plan::rollout::{Renew, Rollout};

impl Coordinator {
    /// Brings about what was decided for a set.
    pub(super) fn apply(
        &mut self,
        key: &ObjectKey,
        decision: &Decision,
        rollout: Rollout,
        reasons: &mut Vec<Reason>,
    ) {
        let Rollout {
            mut goals,
            make,
            renew,
            switch,
        } = rollout;
        if let Some(revision) = make
            && let Some(uid) = self.make(decision, &revision, reasons)
        {
            let alone = self.ledger.of_set(key).len() == 1;
            let runs = alone && revision == decision.target.run;
            goals.push((uid, if runs { Goal::Run } else { Goal::Stage }));
        }
        let run = &decision.target.run;
        let begins = renew.is_some()
            || goals.iter().any(|(uid, goal)| {
                let slot = self.ledger.get(uid);
                // One that waits for another set begins when that is over.
                let starts = |slot: &Slot| self.order.of(slot, &self.inventory, *goal).0 == *goal;
                *goal == Goal::Run
                    && slot.is_some_and(|slot| slot.record.revision == *run && starts(slot))
            });
        if begins && !self.begin(key, run) {
            return;
        }
        if let Some(renew) = renew {
            if self.renew(&renew) {
                // The pod that was only staged has done its part.
                self.decide(key);
            }
            return;
        }
        if let Some(slot) = switch.and_then(|uid| self.ledger.get_mut(&uid)) {
            slot.switched = !slot.is_started();
        }
        for (uid, goal) in goals {
            self.tell(&uid, goal, Some(decision));
        }
    }

    /// Records that a revision is let run, which begins its trial.
    fn begin(&mut self, key: &ObjectKey, run: &Revision) -> bool {
        let Some(state) = self.sets.get(key) else {
            return false;
        };
        if state.record.current.as_ref() == Some(run) {
            return true;
        }
        let mut record = SetRecord::clone(&state.record);
        let now = (self.clock)();
        if let Some(revision) = record.revision_mut(run) {
            revision.trial_since = Some(now);
        }
        record.current = Some(run.clone());
        self.keep_record(key, record)
    }

    /// Makes and records a new pod.
    fn make(
        &mut self,
        decision: &Decision,
        revision: &Revision,
        reasons: &mut Vec<Reason>,
    ) -> Option<Uid> {
        let set = self.set_of(&decision.wanted, revision)?;
        let record = match pods::new_record(&set, &self.node.name, (self.clock)()) {
            Ok(record) => record,
            Err(reason) => {
                let message = format!("Error creating: {}", reason.message);
                self.events.warn_of_set(set.key(), "FailedCreate", message);
                reasons.push(reason);
                return None;
            }
        };
        if !self.write(&record) {
            return None;
        }
        let uid = record.key.uid.clone();
        info!(pod = %record.key, revision = %record.revision, "made");
        let message = format!("Created pod: {}", record.key.name);
        self.events.of_set(set.key(), "SuccessfulCreate", message);
        self.ledger.add(Slot::new(Arc::new(record)));
        Some(uid)
    }

    /// A running pod takes over the specification of a staged one.
    fn renew(&mut self, renew: &Renew) -> bool {
        let (Some(old), Some(new)) = (self.ledger.get(&renew.old), self.ledger.get(&renew.new))
        else {
            return false;
        };
        let have = old.report.as_ref().and_then(|report| report.have.clone());
        let record = renewed(&old.record, &new.record, have.as_deref());
        if !self.write(&record) {
            return false;
        }
        info!(pod = %record.key, revision = %record.revision, "renewed in place");
        if let Some(old) = self.ledger.get_mut(&renew.old) {
            old.renew(Arc::new(record));
        }
        true
    }
}
