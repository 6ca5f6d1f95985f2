//! Decides for one set and tells its pods' workers: eligibility, then rollout, then a wish a pod.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;

use super::Coordinator;
use crate::agent::ledger::Slot;
use crate::agent::pods;
use crate::api::daemonset::DaemonSet;
use crate::api::{ObjectKey, Uid};
use crate::eligibility;
use crate::model::{BackOff, DesiredPod, Goal, Reason, References, SetReport};
use crate::plan::backoff;
use crate::plan::references::resolve;
use crate::plan::rollout::{self, Replace, Rollout};
use crate::plan::wishes::unfollowed;

impl Coordinator {
    /// Decides for one set.
    pub(super) fn decide(&mut self, key: &ObjectKey) {
        let set = self.snapshot.sets.get(key).map(|(set, _)| Arc::clone(set));
        let facts = self.ledger.facts(key);
        let mut reasons = Vec::new();
        let rollout = match &set {
            Some(set) => {
                let rules = eligibility::explain(set, &self.node);
                let verdict = eligibility::verdict(rules.clone());
                let rollout = rollout::plan_rollout(&verdict, set.revision(), replace(set), &facts);
                self.reports.insert(
                    key.clone(),
                    Arc::new(SetReport {
                        verdict,
                        rules,
                        pods: Vec::new(),
                        reasons: Vec::new(),
                    }),
                );
                rollout
            }
            None if self.snapshot.synced => rollout::end_all(&facts),
            None => rollout::leave_all(&facts),
        };
        if self.inventory.is_some() {
            self.apply(key, set.as_deref(), rollout, &mut reasons);
        }
        if let Some(report) = self.reports.get_mut(key) {
            let report = Arc::make_mut(report);
            report.pods = self.ledger.of_set(key).to_vec();
            report.reasons = reasons;
        }
    }

    fn apply(
        &mut self,
        key: &ObjectKey,
        set: Option<&DaemonSet>,
        rollout: Rollout,
        reasons: &mut Vec<Reason>,
    ) {
        let held: Vec<Reason> = set.map(held).unwrap_or_default();
        reasons.extend(held.iter().cloned());
        reasons.extend(set.map(unfollowed).unwrap_or_default());
        let back_off = set.map_or(self.back_off, |set| self.back_off_of(set, reasons));
        let mut goals = rollout.goals;
        if rollout.make
            && let Some(set) = set
            && let Some(uid) = self.make(set, reasons)
        {
            let alone = self.ledger.of_set(key).len() == 1;
            goals.push((uid, if alone { Goal::Run } else { Goal::Stage }));
        }
        for (uid, goal) in goals {
            // A pod of another revision has nothing to do with what this one cannot honour.
            let current =
                |slot: &Slot| set.is_some_and(|set| slot.record.revision == *set.revision());
            let held = if self.ledger.get(&uid).is_some_and(current) {
                &held[..]
            } else {
                &[]
            };
            self.tell(&uid, goal, held, back_off);
        }
    }

    /// Makes and records a new pod.
    fn make(&mut self, set: &DaemonSet, reasons: &mut Vec<Reason>) -> Option<Uid> {
        let record = match pods::new_record(set, &self.node.name, (self.clock)()) {
            Ok(record) => record,
            Err(reason) => {
                reasons.push(reason);
                return None;
            }
        };
        if !self.write(&record) {
            reasons.push(Reason::new(
                "FailedCreate",
                "the state directory cannot be written",
            ));
            return None;
        }
        let uid = record.key.uid.clone();
        info!(pod = %record.key, revision = %record.revision, "made");
        self.ledger.add(Slot::new(Arc::new(record), false));
        Some(uid)
    }

    /// Gives a pod's worker its wish, and starts the worker with the first one.
    fn tell(&mut self, uid: &Uid, goal: Goal, held: &[Reason], back_off: BackOff) {
        let now = (self.clock)();
        let Some(slot) = self.ledger.get(uid) else {
            return;
        };
        if goal == Goal::End && slot.record.ending_since.is_none() {
            let ending = pods::ending(&slot.record, now);
            if !self.write(&ending) {
                return;
            }
            if let Some(slot) = self.ledger.get_mut(uid) {
                slot.record = ending;
            }
        }
        let Some(slot) = self.ledger.get_mut(uid) else {
            return;
        };
        let found = resolve(&slot.record.key.namespace, &slot.refers_to, &self.snapshot);
        let references = match &slot.mailbox {
            Some(mailbox) if *mailbox.borrow().references == found => {
                Arc::clone(&mailbox.borrow().references)
            }
            _ if found == References::default() => Arc::default(),
            _ => Arc::new(found),
        };
        let wish = Arc::new(DesiredPod {
            record: Arc::clone(&slot.record),
            goal,
            references,
            held: if goal == Goal::End {
                Vec::new()
            } else {
                held.to_vec()
            },
            back_off,
        });
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

    /// The set's own back-off where its annotation gives one.
    fn back_off_of(&self, set: &DaemonSet, reasons: &mut Vec<Reason>) -> BackOff {
        let Some(text) = set.annotation(backoff::ANNOTATION) else {
            return self.back_off;
        };
        backoff::from_annotation(text, self.back_off).unwrap_or_else(|why| {
            let message = format!("metadata.annotations[{}]: {why}", backoff::ANNOTATION);
            reasons.push(Reason::new("InvalidAnnotation", message));
            self.back_off
        })
    }
}

/// Whether two wishes are the same to a worker; the record's identity stands for its content.
fn same(old: &DesiredPod, new: &DesiredPod) -> bool {
    Arc::ptr_eq(&old.record, &new.record)
        && old.goal == new.goal
        && old.references == new.references
        && old.held == new.held
        && old.back_off == new.back_off
}

/// Why nothing of a set may be started: fields that are accepted but cannot be honoured here.
fn held(set: &DaemonSet) -> Vec<Reason> {
    let reason = |error: crate::api::FieldError| {
        Reason::new("Unsupported", format!("{}: {}", error.field, error.message))
    };
    set.unsupported().into_iter().map(reason).collect()
}

fn replace(set: &DaemonSet) -> Replace {
    let strategy = set
        .spec()
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref());
    if strategy == Some("OnDelete") {
        Replace::OnDelete
    } else {
        Replace::WhenStaged
    }
}
