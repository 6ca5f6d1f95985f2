//! Who waits for whom, for the coordinator: gathers what `plan::order` decides from, keeps what it
//! decided, and says which sets are to be decided again because of it.
//!
//! Looks at nothing itself: the node's watch is told what to look for, and only while a set waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Channels;
use super::inventory::Inventory;
use super::ledger::{Ledger, Slot};
use super::tasks::Tasks;
use crate::api::daemonset::DaemonSet;
use crate::api::{Condition, ObjectKey, after};
use crate::eligibility;
use crate::model::{
    Goal, HostConditions, NodeFacts, ObservedPod, PodReport, Reason, SetReport, Snapshot, Verdict,
};
use crate::node;
use crate::plan::order::{SetFact, Standing, ends_after, may_end, plan_order, unlooked};
use crate::status::pod_status;

/// What is decided about the order of sets.
pub struct Order {
    wanted: watch::Sender<BTreeSet<Condition>>,
    found: watch::Receiver<Arc<HostConditions>>,
    /// The sets of which something is to be started.
    waiting: BTreeSet<ObjectKey>,
    waits: BTreeMap<ObjectKey, Vec<Reason>>,
    ends: BTreeMap<ObjectKey, Reason>,
    /// What sets with pods waited for when their manifests were last there.
    known: BTreeMap<ObjectKey, BTreeSet<Condition>>,
    /// The sets of this snapshot that wait for anything: mostly none of very many.
    of_snapshot: (Arc<Snapshot>, Vec<ObjectKey>),
    /// Those, and the sets with pods that wait for anything and may still come with a snapshot.
    ordered: Vec<ObjectKey>,
}

/// What the order is decided from.
pub struct Scene<'a> {
    /// What the sources want.
    pub snapshot: &'a Arc<Snapshot>,
    /// The node.
    pub node: &'a NodeFacts,
    /// The pods.
    pub ledger: &'a Ledger,
    /// What the runtime has.
    pub inventory: &'a Inventory,
    /// What was decided for each set last.
    pub reports: &'a BTreeMap<ObjectKey, Arc<SetReport>>,
    /// Whether all pods are to stop, because the machine goes down.
    pub shutdown: bool,
    /// The time of the pass.
    pub now: Timestamp,
}

/// Starts the watch of what sets wait for on this machine.
pub(super) fn start(tasks: &mut Tasks, channels: &Channels) -> Order {
    let (wanted, asked) = watch::channel(BTreeSet::new());
    let (answers, found) = watch::channel(Arc::default());
    let watch = node::watch_conditions(asked, answers, channels.cancel.clone());
    tasks.start("conditions", watch);
    Order::new(wanted, found)
}

impl Order {
    /// Nothing waits. The node's watch is asked through `wanted` and answers through `found`.
    #[must_use]
    pub fn new(
        wanted: watch::Sender<BTreeSet<Condition>>,
        found: watch::Receiver<Arc<HostConditions>>,
    ) -> Self {
        Self {
            wanted,
            found,
            waiting: BTreeSet::new(),
            waits: BTreeMap::new(),
            ends: BTreeMap::new(),
            known: BTreeMap::new(),
            of_snapshot: Default::default(),
            ordered: Vec::new(),
        }
    }

    /// Ends when the node's watch has something new.
    pub async fn changed(&mut self) {
        if self.found.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Decides again, and returns the sets for which that changed something.
    pub fn refresh(&mut self, scene: &Scene<'_>) -> BTreeSet<ObjectKey> {
        if !Arc::ptr_eq(&self.of_snapshot.0, scene.snapshot) {
            let sets = scene.snapshot.sets.values();
            let ordered = sets.filter(|(set, _)| !set.after().is_empty());
            let ordered = ordered.map(|(set, _)| set.key().clone()).collect();
            self.of_snapshot = (Arc::clone(scene.snapshot), ordered);
        }
        self.ordered = self.of_snapshot.1.clone();
        self.ordered.extend(scene.unread());
        let facts = scene.facts(&self.ordered);
        let waiting = self.ordered.iter().filter(|key| scene.waits(key));
        let waiting: BTreeSet<ObjectKey> = waiting.cloned().collect();
        let wanted = waiting.iter().flat_map(|key| &facts[key].after);
        let wanted: BTreeSet<_> = wanted
            .filter(|condition| !matches!(condition, Condition::Set(_)))
            .cloned()
            .collect();
        let host = Arc::clone(&self.found.borrow_and_update());
        let mut waits = plan_order(&facts, &host);
        waits.retain(|key, _| waiting.contains(key));
        self.remember(scene);
        let ends = scene.ends(&self.known);
        let mut changed = differing(&self.waits, &waits);
        changed.extend(self.waiting.symmetric_difference(&waiting).cloned());
        changed.append(&mut differing(&self.ends, &ends));
        (self.waiting, self.waits, self.ends) = (waiting, waits, ends);
        self.wanted.send_if_modified(|old| {
            let news = *old != wanted;
            *old = wanted;
            news
        });
        changed
    }

    /// Keeps what sets with pods wait for, for when their manifests are gone.
    fn remember(&mut self, scene: &Scene<'_>) {
        self.known
            .retain(|key, _| !scene.ledger.of_set(key).is_empty());
        for key in scene.ledger.sets() {
            if let Some((set, _)) = scene.snapshot.sets.get(key) {
                self.known.insert(key.clone(), set.after());
            }
        }
    }

    /// Why a set is not as wanted, as far as that is a matter of order.
    pub fn reasons(&self, set: &ObjectKey) -> impl Iterator<Item = &Reason> {
        let waits = self.waits.get(set).into_iter().flatten();
        waits.chain(self.ends.get(set))
    }

    /// Whether no set must end before this one.
    #[must_use]
    pub fn ends_now(&self, set: &ObjectKey) -> bool {
        !self.ends.contains_key(set)
    }

    /// The goal of a pod in place of the one that it would have by itself, and why. A pod that is to
    /// start is only staged while it waits; one that is to end goes on while others end before it.
    #[must_use]
    pub fn of(&self, slot: &Slot, inventory: &Inventory, goal: Goal) -> (Goal, Vec<Reason>) {
        let set = &slot.record.set;
        let goes_on = is_up(slot, inventory) && slot.record.ending_since.is_none();
        match goal {
            Goal::Run | Goal::Prepare | Goal::Stage => match self.holds(slot, inventory) {
                waits if waits.is_empty() => (goal, waits),
                waits => (Goal::Stage, waits),
            },
            Goal::End if goes_on => match self.ends.get(set) {
                Some(reason) => (Goal::Run, vec![reason.clone()]),
                None => (goal, Vec::new()),
            },
            Goal::End | Goal::Rest => (goal, Vec::new()),
        }
    }

    /// Why a pod may not be started now; nothing holds one that has begun.
    #[must_use]
    pub fn holds(&self, slot: &Slot, inventory: &Inventory) -> Vec<Reason> {
        match has_begun(slot, inventory) {
            true => Vec::new(),
            false => self.hold(&slot.record.set),
        }
    }

    /// Why nothing of a set may be started now. What a pod that was just made comes after is looked
    /// for from the next pass on.
    fn hold(&self, set: &ObjectKey) -> Vec<Reason> {
        let unknown = !self.waiting.contains(set) && self.ordered.contains(set);
        match self.waits.get(set) {
            Some(waits) => waits.clone(),
            None if unknown => vec![unlooked()],
            None => Vec::new(),
        }
    }
}

/// The keys that only one of the two has, or that differ.
fn differing<T: PartialEq>(
    old: &BTreeMap<ObjectKey, T>,
    new: &BTreeMap<ObjectKey, T>,
) -> BTreeSet<ObjectKey> {
    let keys = old.keys().chain(new.keys());
    keys.filter(|key| old.get(key) != new.get(key))
        .cloned()
        .collect()
}

/// Whether a pod has a sandbox that works.
#[must_use]
pub fn is_up(slot: &Slot, inventory: &Inventory) -> bool {
    let has_sandbox = |have: &ObservedPod| have.ready_sandbox().is_some();
    match &slot.report {
        Some(report) => report.have.as_deref().is_some_and(has_sandbox),
        None => inventory
            .as_ref()
            .and_then(|listed| listed.get(&slot.record.key.uid))
            .is_some_and(has_sandbox),
    }
}

/// Whether a pod waits for nothing any more: it runs, or another one has made room for it. A sandbox
/// that only stands ready does not count.
fn has_begun(slot: &Slot, inventory: &Inventory) -> bool {
    slot.switched || slot.is_started() && is_up(slot, inventory)
}

impl Scene<'_> {
    /// The sets that wait for something, which are `ordered`, and those that are waited for.
    fn facts(&self, ordered: &[ObjectKey]) -> BTreeMap<ObjectKey, SetFact> {
        let mut facts = BTreeMap::new();
        for key in ordered {
            let after = match self.snapshot.sets.get(key) {
                Some((set, _)) => set.after(),
                None => self.after(key),
            };
            let standing = self.standing(key);
            let replaces = self.replaces(key);
            facts.extend(standing.map(|standing| {
                let fact = SetFact {
                    after,
                    standing,
                    replaces,
                };
                (key.clone(), fact)
            }));
        }
        let named: BTreeSet<_> = facts.values().flat_map(|fact| &fact.after).collect();
        let named = named.into_iter().filter_map(|condition| match condition {
            Condition::Set(key) if !facts.contains_key(key) => {
                let fact = SetFact {
                    after: BTreeSet::new(),
                    standing: self.standing(key)?,
                    replaces: false,
                };
                Some((key.clone(), fact))
            }
            _ => None,
        });
        let named: Vec<_> = named.collect();
        facts.extend(named);
        facts
    }

    /// The sets with pods that wait for something by their records, while it is not known whether
    /// their manifests are gone: a machine whose manifests are late boots in order, too.
    fn unread(&self) -> Vec<ObjectKey> {
        if self.snapshot.synced {
            return Vec::new();
        }
        let sets = self.ledger.sets();
        let unread = sets.filter(|key| !self.snapshot.sets.contains_key(key));
        unread
            .filter(|key| !self.after(key).is_empty())
            .cloned()
            .collect()
    }

    /// How a set stands; nothing for one of which nothing is known.
    fn standing(&self, key: &ObjectKey) -> Option<Standing> {
        let runs = self.runs_here(key)?;
        Some(match runs {
            _ if self.has_ready(key) && self.is_updating(key) => Standing::Updating,
            _ if self.has_ready(key) => Standing::Ready,
            true => Standing::NotReady,
            false => Standing::NotHere,
        })
    }

    /// Whether a set is for this node; that it has pods is enough while its manifest may still come.
    fn runs_here(&self, key: &ObjectKey) -> Option<bool> {
        match self.snapshot.sets.get(key) {
            Some((set, _)) => Some(matches!(self.verdict(set), Verdict::Run)),
            None if self.snapshot.synced || self.ledger.of_set(key).is_empty() => None,
            None => Some(true),
        }
    }

    fn verdict(&self, set: &DaemonSet) -> Verdict {
        eligibility::verdict(eligibility::explain(set, self.node))
    }

    fn slots(&self, set: &ObjectKey) -> impl Iterator<Item = &Slot> {
        let uids = self.ledger.of_set(set).iter();
        uids.filter_map(|uid| self.ledger.get(uid))
    }

    /// Whether a pod of the set is ready and stays: neither its end nor its change was decided.
    fn has_ready(&self, set: &ObjectKey) -> bool {
        self.alive(set).any(|slot| {
            let report = slot.report.as_ref();
            report.is_some_and(|report| {
                report.want.record.revision == slot.record.revision && self.is_ready(report)
            })
        })
    }

    /// Whether a pod is being staged in the place of the one that runs, and nothing keeps it from
    /// being switched to.
    fn is_updating(&self, set: &ObjectKey) -> bool {
        let report = self.reports.get(set);
        let Some(rollout) = report.and_then(|report| report.rollout.as_ref()) else {
            return false;
        };
        let mut staged = self
            .alive(set)
            .filter(|slot| slot.record.revision == rollout.target && !slot.is_started());
        staged.any(|slot| !slot.is_stuck())
    }

    /// Whether the set has a pod that runs.
    fn replaces(&self, set: &ObjectKey) -> bool {
        self.alive(set)
            .any(|slot| has_begun(slot, self.inventory) && is_up(slot, self.inventory))
    }

    fn alive(&self, set: &ObjectKey) -> impl Iterator<Item = &Slot> {
        self.slots(set)
            .filter(|slot| slot.record.ending_since.is_none())
    }

    fn is_ready(&self, report: &PodReport) -> bool {
        let status = pod_status(report, self.node, self.now);
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Whether something of the set is still to be started here.
    fn waits(&self, key: &ObjectKey) -> bool {
        self.runs_here(key) == Some(true)
            && (self.alive(key).next().is_none()
                || self.alive(key).any(|slot| !has_begun(slot, self.inventory)))
    }

    /// Each set that ends and has others before it.
    fn ends(
        &self,
        known: &BTreeMap<ObjectKey, BTreeSet<Condition>>,
    ) -> BTreeMap<ObjectKey, Reason> {
        if !self.snapshot.synced && !self.shutdown {
            return BTreeMap::new();
        }
        let ends = |key: &&ObjectKey| match self.snapshot.sets.get(*key) {
            _ if self.shutdown => !self.slots(key).all(Slot::is_at_rest),
            Some((set, _)) => matches!(self.verdict(set), Verdict::Stop(_)),
            None => true,
        };
        let ending = self.ledger.sets().filter(ends);
        let after = |key| known.get(key).cloned().unwrap_or_else(|| self.after(key));
        let ending = ending.map(|key| (key.clone(), after(key)));
        let ending: BTreeMap<_, _> = ending.collect();
        let blocked = ending.keys().filter_map(|key| {
            let first = may_end(key, &ending);
            (!first.is_empty()).then(|| (key.clone(), ends_after(&first)))
        });
        blocked.collect()
    }

    /// What a set waited for when its pods were made, as their records say.
    fn after(&self, key: &ObjectKey) -> BTreeSet<Condition> {
        let texts = self.slots(key).filter_map(|slot| {
            let annotations = slot.record.pod.metadata.annotations.as_ref()?;
            annotations.get(after::ANNOTATION)
        });
        texts
            .filter_map(|text| after::conditions(text, key).ok())
            .flatten()
            .collect()
    }
}
