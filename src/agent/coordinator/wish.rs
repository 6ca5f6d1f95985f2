//! Gives a pod's worker its wish, and starts the worker with the first one.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Coordinator;
use super::decide::Decision;
use crate::agent::ledger::Slot;
use crate::agent::pods;
use crate::api::Uid;
use crate::api::daemonset::DaemonSet;
use crate::model::{DesiredPod, Goal, Reason, References};
use crate::plan::references::resolve;

impl Coordinator {
    /// Tells a pod's worker its goal; the decision to end it is on disk before.
    pub(super) fn tell(&mut self, uid: &Uid, goal: Goal, decision: Option<&Decision>) {
        let Some(slot) = self.ledger.get(uid) else {
            return;
        };
        let (goal, waits) = self.order.of(slot, &self.inventory, goal);
        if goal == Goal::End && !self.record_end(uid) {
            return;
        }
        let Some(slot) = self.ledger.get(uid) else {
            return;
        };
        let found = self.references(slot, decision);
        // A pod of another revision has nothing to do with what this one cannot honour.
        let current = decision.filter(|decision| {
            goal != Goal::End && slot.record.revision == *decision.set.revision()
        });
        let mut held = current
            .map(|decision| held(&decision.set))
            .unwrap_or_default();
        if current.is_some() {
            held.extend(self.port_taken(slot));
        }
        let ports = self.ports_to_be_freed(slot);
        held.extend(waits);
        let look_at = self.look_at(slot, goal, decision);
        let back_off = decision.map_or(self.defaults.back_off, |decision| decision.back_off);
        let references = match &slot.mailbox {
            Some(mailbox) if *mailbox.borrow().references == *found => {
                Arc::clone(&mailbox.borrow().references)
            }
            _ => found,
        };
        let wish = Arc::new(DesiredPod {
            record: Arc::clone(&slot.record),
            goal,
            references,
            held,
            ports,
            back_off,
            look_at,
            term: slot.term,
        });
        self.send(uid, wish);
    }

    /// Gives a wish that says something new to the pod's worker, which is started with the first one.
    fn send(&mut self, uid: &Uid, wish: Arc<DesiredPod>) {
        let Some(slot) = self.ledger.get_mut(uid) else {
            return;
        };
        match &slot.mailbox {
            Some(mailbox) => {
                mailbox.send_if_modified(|old| {
                    let changed = !same(old, &wish);
                    if changed {
                        *old = wish;
                    }
                    changed
                });
            }
            None => {
                let (mailbox, worker) = watch::channel(wish);
                slot.mailbox = Some(mailbox);
                (self.start_worker)(worker);
            }
        }
    }

    /// When the pod will have been ready for long enough, so that it is looked at then.
    fn look_at(&self, slot: &Slot, goal: Goal, decision: Option<&Decision>) -> Option<Timestamp> {
        let settle = decision?.policy.settle;
        let runs = goal == Goal::Run && !settle.is_zero();
        let progress = runs.then(|| self.progress(slot, (self.clock)()))?;
        progress.ready_for(settle)
    }

    /// Writes down that a pod ends; false when that failed.
    pub(super) fn record_end(&mut self, uid: &Uid) -> bool {
        let Some(slot) = self.ledger.get(uid) else {
            return false;
        };
        if slot.record.ending_since.is_some() {
            return true;
        }
        let ending = pods::ending(&slot.record, (self.clock)());
        if !self.write(&ending) {
            return false;
        }
        let message = format!("Deleted pod: {}", ending.key.name);
        self.events.of_set(&ending.set, "SuccessfulDelete", message);
        if let Some(slot) = self.ledger.get_mut(uid) {
            slot.record = ending;
        }
        true
    }

    /// The objects a pod refers to: as they are now, or those kept with its revision where a change
    /// of them is a revision of its own, and where the last good revision came back.
    fn references(&self, slot: &Slot, decision: Option<&Decision>) -> Arc<References> {
        let revision = &slot.record.revision;
        let kept = decision.filter(|decision| {
            decision.policy.config_rollout
                || (decision.target.went_back && *revision == decision.target.run)
        });
        let state = kept.and_then(|_| self.sets.get(&slot.record.set));
        let known = state.and_then(|state| state.record.revision(revision));
        if let Some(objects) = known.and_then(|known| known.objects.as_ref()) {
            return Arc::clone(objects);
        }
        let key = &slot.record.key;
        let found = resolve(&key.namespace, &slot.refers_to, &self.snapshot);
        if found == References::default() {
            Arc::default()
        } else {
            Arc::new(found)
        }
    }
}

/// Why nothing of a set may be started: fields that are accepted but cannot be honoured here.
pub(super) fn held(set: &DaemonSet) -> Vec<Reason> {
    let reason = |error: crate::api::FieldError| {
        Reason::new("Unsupported", format!("{}: {}", error.field, error.message))
    };
    set.unsupported().into_iter().map(reason).collect()
}

/// Whether two wishes are the same to a worker; the record's identity stands for its content.
fn same(old: &DesiredPod, new: &DesiredPod) -> bool {
    Arc::ptr_eq(&old.record, &new.record)
        && old.goal == new.goal
        && old.references == new.references
        && old.held == new.held
        && old.ports == new.ports
        && old.back_off == new.back_off
        && old.look_at == new.look_at
        && old.term == new.term
}
