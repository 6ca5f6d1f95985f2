//! The pods the agent answers for: each with its record, its worker's mailbox and its newest report.
//! Owned by the coordinator alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::api::{ObjectKey, Uid};
use crate::model::{
    DesiredPod, Goal, ObservedContainer, ObservedPod, PodRecord, PodReport, References, Term,
};
use crate::plan::ports::publishes;
use crate::plan::references::{ReferredNames, referred_names};
use crate::plan::rollout::PodFact;

/// One pod.
pub struct Slot {
    /// What is recorded on disk.
    pub record: Arc<PodRecord>,
    /// The names of the objects it refers to.
    pub refers_to: ReferredNames,
    /// The worker's mailbox, once there is a worker.
    pub mailbox: Option<watch::Sender<Arc<DesiredPod>>>,
    /// The worker's newest report.
    pub report: Option<PodReport>,
    /// Whether the runtime has ever listed it.
    pub seen: bool,
    /// Whether the runtime has ever listed a container of it.
    pub begun: bool,
    /// Another pod ended in its favour, and it has no container yet.
    pub switched: bool,
    /// The time for its stop, once that began because the machine goes down.
    pub term: Option<Term>,
}

impl Slot {
    /// A pod without a worker yet.
    #[must_use]
    pub fn new(record: Arc<PodRecord>) -> Self {
        let refers_to = record
            .pod
            .spec
            .as_ref()
            .map(referred_names)
            .unwrap_or_default();
        Self {
            record,
            refers_to,
            mailbox: None,
            report: None,
            seen: false,
            begun: false,
            switched: false,
            term: None,
        }
    }

    /// The same pod with another record, written already.
    pub fn renew(&mut self, record: Arc<PodRecord>) {
        self.refers_to = record
            .pod
            .spec
            .as_ref()
            .map(referred_names)
            .unwrap_or_default();
        self.record = record;
    }

    /// The objects its worker was last given.
    #[must_use]
    pub fn references(&self) -> Option<Arc<References>> {
        let mailbox = self.mailbox.as_ref()?;
        Some(Arc::clone(&mailbox.borrow().references))
    }

    /// Whether the runtime has something of it, as far as is known.
    #[must_use]
    pub fn has_sandbox(&self) -> bool {
        self.seen || self.have().is_some_and(|have| !have.sandboxes.is_empty())
    }

    /// Takes what the runtime listed of it.
    pub fn see(&mut self, listed: &ObservedPod) {
        self.seen = true;
        self.begun |= !listed.containers.is_empty();
    }

    /// Takes what its worker reported.
    pub fn take(&mut self, report: PodReport) {
        self.report = Some(report);
        self.switched &= !self.has_container();
    }

    /// Whether it has a container, or was told to make one.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.goal() == Some(Goal::Run) || self.has_container()
    }

    /// Whether something keeps it from being staged that may last.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let wish = self.mailbox.as_ref().map(watch::Sender::borrow);
        let held = wish.is_some_and(|wish| !wish.held.is_empty());
        let report = self.report.as_ref();
        let failed = |report: &PodReport| report.plan.reasons.iter().any(|r| r.retry_at.is_some());
        held || report.is_some_and(failed)
    }

    /// Whether the runtime has a container of it, as far as is known.
    fn has_container(&self) -> bool {
        self.begun || self.have().is_some_and(|have| !have.containers.is_empty())
    }

    fn have(&self) -> Option<&ObservedPod> {
        self.report.as_ref()?.have.as_deref()
    }

    /// Whether it was told to rest and does, or the runtime cannot be asked any more: then there is
    /// nothing to wait for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let Some(report) = &self.report else {
            return false;
        };
        self.term.is_some() && (report.plan.at_rest || !report.observed)
    }

    /// Whether it ends and is out of the way of the pod that comes in its place.
    fn is_down(&self) -> bool {
        let Some(report) = self.report.as_ref().filter(|report| report.observed) else {
            return false;
        };
        let spec = self.record.pod.spec.as_ref();
        let out_of_the_way = report.have.as_deref().is_none_or(|have| {
            have.containers.iter().all(ObservedContainer::has_exited)
                && (have.ready_sandbox().is_none() || !spec.is_some_and(publishes))
        });
        report.want.goal == Goal::End && out_of_the_way
    }

    /// Whether its host ports are its own: it runs, or may make its sandbox now.
    #[must_use]
    pub fn has_ports(&self) -> bool {
        let wish = self.mailbox.as_ref().map(watch::Sender::borrow);
        let may_run = wish.is_some_and(|wish| wish.goal == Goal::Run && wish.held.is_empty());
        may_run || self.has_sandbox()
    }

    /// The goal its worker was last given.
    fn goal(&self) -> Option<Goal> {
        self.mailbox.as_ref().map(|mailbox| mailbox.borrow().goal)
    }

    /// What rollout needs to know; whether it is held, available or renewable is not seen from here.
    #[must_use]
    pub fn fact(&self) -> PodFact {
        let report = self.report.as_ref();
        let staged = report.is_some_and(|report| report.plan.staged);
        let spec = self.record.pod.spec.as_ref();
        PodFact {
            uid: self.record.key.uid.clone(),
            revision: self.record.revision.clone(),
            ending: self.record.ending_since.is_some(),
            staged,
            preparable: !spec.is_some_and(publishes),
            prepared: self
                .have()
                .is_some_and(|have| have.ready_sandbox().is_some()),
            started: self.is_started(),
            held: false,
            available: false,
            renewable: false,
            down: self.is_down(),
        }
    }
}

/// All pods, by uid and by set.
#[derive(Default)]
pub struct Ledger {
    slots: BTreeMap<Uid, Slot>,
    by_set: BTreeMap<ObjectKey, Vec<Uid>>,
}

impl Ledger {
    /// Adds a pod; it comes after the pods its set has already.
    pub fn add(&mut self, slot: Slot) {
        let uid = slot.record.key.uid.clone();
        self.by_set
            .entry(slot.record.set.clone())
            .or_default()
            .push(uid.clone());
        self.slots.insert(uid, slot);
    }

    /// Takes a pod out.
    pub fn remove(&mut self, uid: &Uid) -> Option<Slot> {
        let slot = self.slots.remove(uid)?;
        if let Some(uids) = self.by_set.get_mut(&slot.record.set) {
            uids.retain(|other| other != uid);
            if uids.is_empty() {
                self.by_set.remove(&slot.record.set);
            }
        }
        Some(slot)
    }

    /// The pod with this uid.
    #[must_use]
    pub fn get(&self, uid: &Uid) -> Option<&Slot> {
        self.slots.get(uid)
    }

    /// The pod with this uid, to change.
    pub fn get_mut(&mut self, uid: &Uid) -> Option<&mut Slot> {
        self.slots.get_mut(uid)
    }

    /// Every pod, to change.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.values_mut()
    }

    /// The pods of a set, oldest first.
    #[must_use]
    pub fn of_set(&self, set: &ObjectKey) -> &[Uid] {
        self.by_set.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every pod.
    pub fn pods(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// The pods of a set with their slots, oldest first.
    pub fn slots_of(&self, set: &ObjectKey) -> impl Iterator<Item = &Slot> {
        self.of_set(set)
            .iter()
            .filter_map(|uid| self.slots.get(uid))
    }

    /// The sets that have pods.
    pub fn sets(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_set.keys()
    }

    /// The newest reports, by uid.
    pub fn reports(&self) -> impl Iterator<Item = (&Uid, &PodReport)> {
        self.slots
            .iter()
            .filter_map(|(uid, slot)| Some((uid, slot.report.as_ref()?)))
    }
}
