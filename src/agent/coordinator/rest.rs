//! Stops all pods before the machine goes down, those that came after others first, and keeps their
//! records: the machine's next start brings them back.
//!
//! As kubelet v1.36 shuts a node down gracefully (KEP-2000). Nothing new is made or started meanwhile,
//! and what was ending goes on with that.
//!
//! Differs: the order is that of sets and not of priorities, and a pod stays the pod it is, where
//! kubelet's ends as Failed.

use jiff::Timestamp;

use super::Coordinator;
use crate::agent::ledger::Slot;
use crate::agent::order::is_up;
use crate::api::{ObjectKey, Uid};
use crate::model::time::between;
use crate::model::{Goal, SetReport, Term};
use crate::plan::order::{RestFact, goes_down, plan_turn};

impl Coordinator {
    /// Stops the pods of a set whose turn it is.
    pub(super) fn rest(&mut self, key: &ObjectKey, term: Term) {
        let now = (self.clock)();
        let slots = self.ledger.slots_of(key);
        let turns: Vec<(Uid, Goal)> = slots
            .filter_map(|slot| {
                let goal = self.goal_of_rest(slot, term, now)?;
                Some((slot.record.key.uid.clone(), goal))
            })
            .collect();
        for (uid, goal) in turns {
            if goal == Goal::Rest
                && let Some(slot) = self.ledger.get_mut(&uid)
            {
                let until = term.until;
                slot.term.get_or_insert(Term { since: now, until });
            }
            self.tell(&uid, goal, None);
        }
        if let Some(report) = self.reports.get(key) {
            let mut report = SetReport::clone(report);
            report.reasons = vec![goes_down()];
            report.reasons.extend(self.order.reasons(key).cloned());
            self.put_report(key, report);
        }
    }

    /// What a pod is to do now; nothing new while others stop before it.
    fn goal_of_rest(&self, slot: &Slot, term: Term, now: Timestamp) -> Option<Goal> {
        plan_turn(&RestFact {
            is_ending: slot.record.ending_since.is_some(),
            has_begun: slot.term.is_some(),
            is_up: is_up(slot, &self.inventory),
            is_first: self.order.ends_now(&slot.record.set),
            left: between(now, term.until),
        })
    }

    /// How many pods are still to stop. None are when the runtime cannot be asked: it went first,
    /// and there is nothing to be done.
    pub(super) fn to_rest(&self) -> usize {
        if self.runtime_lost {
            return 0;
        }
        let pods = self.ledger.pods();
        pods.filter(|slot| !slot.is_at_rest()).count()
    }
}
