//! Decides for one set: what its manifest means, which revision is to run, whether it runs here,
//! and so a goal for each of its pods.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};

use super::Coordinator;
use super::history::Wanted;
use crate::agent::ledger::Slot;

use crate::api::ObjectKey;
use crate::api::daemonset::DaemonSet;
use crate::eligibility;
use crate::model::{
    BackOff, Bad, Involved, Note, PodRecord, Reason, RolloutReport, Rule, SetRecord, SetReport,
    Verdict,
};
use crate::plan::in_place::is_renewable;
use crate::plan::order::is_wait;
use crate::plan::policy::{Policy, policy};
use crate::plan::rollout::{self, PodFact, Replace, Target};
use crate::plan::target::plan_target;
use crate::plan::trial::{Judgement, Progress, judge};
use crate::plan::{backoff, beside};
use crate::status;

/// What is decided for a set, on its way to its pods.
pub(super) struct Decision {
    pub wanted: Wanted,
    pub policy: Policy,
    pub target: Target,
    /// The set as it is to run now.
    pub set: Arc<DaemonSet>,
    pub back_off: BackOff,
}

/// The reasons that somebody wanted so.
const CHOICES: [&str; 4] = ["Held", "NodeShutdown", "Overridden", "Paused"];

impl Coordinator {
    /// Decides for one set.
    pub(super) fn decide(&mut self, key: &ObjectKey) {
        self.wakes.remove(key);
        if let Some(term) = self.shutdown {
            self.rest(key, term);
            return;
        }
        let source = self.snapshot.sets.get(key).map(|(set, _)| Arc::clone(set));
        if let Some(source) = source {
            let report = self.decide_set(key, &source);
            self.put_report(key, report);
            return;
        }
        let facts: Vec<PodFact> = self.ledger.slots_of(key).map(Slot::fact).collect();
        let rollout = if self.snapshot.synced {
            rollout::end_all(&facts)
        } else {
            rollout::leave_all(&facts)
        };
        if self.inventory.is_some() {
            for (uid, goal) in rollout.goals {
                self.tell(&uid, goal, None);
            }
            if self.snapshot.synced && facts.is_empty() {
                self.forget_set(key);
            }
        }
    }

    pub(super) fn put_report(&mut self, key: &ObjectKey, mut report: SetReport) {
        report.pods = self.ledger.of_set(key).to_vec();
        report
            .reasons
            .extend(self.unwritten.reason_of(key).cloned());
        self.tell_reasons(key, &report);
        if self.reports.get(key).is_none_or(|old| **old != report) {
            self.reports.insert(key.clone(), Arc::new(report));
        }
    }

    /// Tells of what keeps a set from being as wanted, when it begins to.
    fn tell_reasons(&self, key: &ObjectKey, report: &SetReport) {
        let before = self.reports.get(key).map(|old| &old.reasons);
        let same =
            |one: &Reason, other: &Reason| one.word == other.word && one.message == other.message;
        let is_new = |reason: &&Reason| {
            !before.is_some_and(|before| before.iter().any(|old| same(old, reason)))
        };
        for reason in report.reasons.iter().filter(is_new) {
            let is_chosen = is_wait(reason) || CHOICES.contains(&reason.word.as_str());
            let Reason { word, message, .. } = reason.clone();
            let set = Involved::set(key);
            if is_chosen {
                self.events.tell(Note::normal(set, word, message));
            } else if word != "FailedCreate" {
                // That one is told of where it happens, in Kubernetes' words.
                self.events.tell(Note::warning(set, word, message));
            }
        }
    }

    fn decide_set(&mut self, key: &ObjectKey, source: &Arc<DaemonSet>) -> SetReport {
        let (rules, verdict) = self.eligible(source);
        let stranger = self.ledger.of_set(key).is_empty() && !self.sets.contains_key(key);
        if self.inventory.is_none() || (stranger && !verdict.runs()) {
            return report(rules, verdict, Vec::new());
        }
        let mut reasons = Vec::new();
        let policy = policy(source, &self.defaults.rollout, &mut reasons);
        let Some(decision) = self.target(key, source, policy, &mut reasons) else {
            return report(rules, verdict, reasons);
        };
        let (rules, verdict) = self.eligible(&decision.set);
        self.roll_out(key, &verdict, &decision, &mut reasons);
        let rollout = self.sets.get(key).map(|state| RolloutReport {
            set: Arc::clone(&decision.wanted.set),
            target: decision.target.run.clone(),
            record: Arc::clone(&state.record),
        });
        SetReport {
            rollout,
            ..report(rules, verdict, reasons)
        }
    }

    fn eligible(&self, set: &DaemonSet) -> (Vec<Rule>, Verdict) {
        let rules = eligibility::explain(set, &self.node);
        let verdict = eligibility::verdict(rules.clone());
        (rules, verdict)
    }

    /// Which revision is to run, after judging the one that is being tried.
    fn target(
        &mut self,
        key: &ObjectKey,
        source: &Arc<DaemonSet>,
        policy: Policy,
        reasons: &mut Vec<Reason>,
    ) -> Option<Decision> {
        let wanted = self.advance(key, source, &policy)?;
        self.judge(key, &wanted, &policy, reasons)?;
        let record = Arc::clone(&self.sets.get(key)?.record);
        let mut target = plan_target(&record, wanted.set.revision(), &policy, &wanted.subject);
        let set = match self.set_of(&wanted, &target.run) {
            Some(set) => set,
            None => {
                // Its template is not to be read any more: what the manifest says then.
                target.run = wanted.set.revision().clone();
                Arc::clone(&wanted.set)
            }
        };
        reasons.append(&mut target.reasons);
        reasons.extend(record.overrides.as_ref().map(|overrides| {
            let message = format!("{}, until the manifest changes", overrides.in_words());
            Reason::new("Overridden", message)
        }));
        reasons.extend(record.ended.clone());
        let back_off = self.back_off_of(source, reasons);
        Some(Decision {
            wanted,
            policy,
            target,
            set,
            back_off,
        })
    }

    /// Judges the revision that was last let run, and records what came of it.
    fn judge(
        &mut self,
        key: &ObjectKey,
        wanted: &Wanted,
        policy: &Policy,
        reasons: &mut Vec<Reason>,
    ) -> Option<()> {
        let now = (self.clock)();
        let mut record = SetRecord::clone(&self.sets.get(key)?.record);
        let Some(current) = record.current.clone() else {
            return Some(());
        };
        let runs = |slot: &&Slot| {
            let fact = slot.fact();
            fact.revision == current && fact.started && !fact.ending
        };
        let slot = self.ledger.slots_of(key).find(runs);
        let Some(slot) = slot else { return Some(()) };
        let progress = self.progress(slot, now);
        let references = slot.references();
        let order = record.next_good();
        let Some(revision) = record.revision_mut(&current) else {
            return Some(());
        };
        match judge(revision, &progress, policy, self.started_at, now) {
            Judgement::Good => {
                revision.trial_since = None;
                revision.bad = None;
                revision.good_since = Some(now);
                revision.good_order = order;
                if !policy.config_rollout {
                    revision.objects = references;
                }
                info!(set = %key, revision = %current, "good");
            }
            Judgement::Bad(reason) if policy.rollback => {
                warn!(set = %key, revision = %current, "bad: {reason}");
                let message = format!("revision {current} is bad: {}", reason.message);
                let note = Note::warning(Involved::set(key), reason.word.clone(), message);
                self.events.tell(note);
                revision.trial_since = None;
                revision.bad = Some(Bad {
                    reason,
                    at: now,
                    subject: wanted.subject.clone(),
                });
            }
            Judgement::Bad(reason) => reasons.push(reason),
            Judgement::Wait(at) => self.wake(key, at),
            Judgement::NoTrial => {}
        }
        self.keep_record(key, record).then_some(())
    }

    pub(super) fn progress(&self, slot: &Slot, now: Timestamp) -> Progress {
        let Some(report) = &slot.report else {
            return Progress::default();
        };
        let fresh = report.observed && report.want.record.revision == slot.record.revision;
        let ready_since = fresh
            .then(|| status::ready_since(report, &self.node, now))
            .flatten();
        Progress {
            ready_since,
            looked_at: report.looked_at,
            restarts: restarts(&slot.record, report),
        }
    }

    /// Goals for the set's pods, and what follows from them.
    fn roll_out(
        &mut self,
        key: &ObjectKey,
        verdict: &Verdict,
        decision: &Decision,
        reasons: &mut Vec<Reason>,
    ) {
        reasons.extend(super::wish::held(&decision.set));
        reasons.extend(self.order.reasons(key).cloned());
        let facts = self.facts(key, decision);
        let rollout = match self.replace(key, decision, &facts, reasons) {
            Some(replace) => rollout::plan_rollout(verdict, &decision.target, replace, &facts),
            None => rollout::refuse(verdict, &facts),
        };
        self.apply(key, decision, rollout, reasons);
    }

    /// The facts about a set's pods, oldest first.
    fn facts(&self, key: &ObjectKey, decision: &Decision) -> Vec<PodFact> {
        let now = (self.clock)();
        let slots: Vec<&Slot> = self.ledger.slots_of(key).collect();
        let staged = slots.iter().find(|slot| {
            slot.record.revision == decision.target.run && slot.record.ending_since.is_none()
        });
        let fact = |slot: &&Slot| {
            let mut fact = slot.fact();
            let progress = self.progress(slot, now);
            fact.held = !self.order.holds(slot, &self.inventory).is_empty();
            fact.available = progress.has_been_ready_for(decision.policy.min_ready, now);
            fact.renewable = decision.policy.in_place
                && staged.is_some_and(|new| is_renewable(&slot.record, &new.record));
            fact
        };
        slots.iter().map(fact).collect()
    }

    /// When the pod is replaced; nothing where the update is refused because old and new cannot be
    /// beside each other.
    fn replace(
        &self,
        key: &ObjectKey,
        decision: &Decision,
        facts: &[PodFact],
        reasons: &mut Vec<Reason>,
    ) -> Option<Replace> {
        let replace = decision.policy.replace;
        if decision.target.went_back && replace == Replace::OnDelete {
            return Some(Replace::WhenStaged);
        }
        if replace != Replace::WhenAvailable {
            return Some(replace);
        }
        let run = &decision.target.run;
        let old = facts
            .iter()
            .find(|fact| fact.started && !fact.ending && fact.revision != *run);
        let running = facts
            .iter()
            .any(|fact| fact.revision == *run && fact.started);
        let (Some(old), false) = (old, running) else {
            return Some(replace);
        };
        let slots = self.ledger.slots_of(key);
        let mut specs = slots.filter(|slot| slot.record.key.uid == old.uid);
        let spec = specs.next().and_then(|slot| slot.record.pod.spec.as_ref());
        let Some(clash) = spec.and_then(|spec| beside::clash(decision.set.pod_spec(), spec)) else {
            return Some(replace);
        };
        let message = format!(
            "spec.updateStrategy.rollingUpdate.maxSurge: the new pod cannot start beside the old \
             one, {clash}; use maxUnavailable, or change that. The old pod runs on"
        );
        reasons.push(Reason::new(clash.word(), message));
        None
    }

    /// The set's own back-off where its annotation gives one.
    fn back_off_of(&self, set: &DaemonSet, reasons: &mut Vec<Reason>) -> BackOff {
        let node = self.defaults.back_off;
        let Some(text) = set.annotation(backoff::ANNOTATION) else {
            return node;
        };
        backoff::from_annotation(text, node).unwrap_or_else(|why| {
            let message = format!("metadata.annotations[{}]: {why}", backoff::ANNOTATION);
            reasons.push(Reason::new("InvalidAnnotation", message));
            node
        })
    }
}

fn report(rules: Vec<Rule>, verdict: Verdict, reasons: Vec<Reason>) -> SetReport {
    SetReport {
        verdict,
        rules,
        pods: Vec::new(),
        reasons,
        rollout: None,
    }
}

/// How often a pod's containers were restarted since it got its present specification.
fn restarts(record: &PodRecord, report: &crate::model::PodReport) -> u32 {
    let names = crate::plan::container_names(record);
    let restarts = names.filter_map(|name| {
        let newest = report.have.as_ref()?.newest(name)?;
        let before = record
            .renewals
            .iter()
            .find(|(renewed, _)| renewed.as_str() == name)
            .map_or(0, |(_, renewal)| renewal.upto + u32::from(renewal.restart));
        Some(newest.attempt.saturating_sub(before))
    });
    restarts.sum()
}
