//! From sets to desired pods: wakes when a source, the node, the runtime's inventory or a worker
//! says something new, decides again for the sets concerned, and gives each pod's worker its wish.
//!
//! What it decides is on disk before any worker hears of it. It touches neither runtime nor network
//! itself, and ends nothing on the word of a snapshot that is not synced.

mod apply;
mod commands;
mod decide;
mod evict;
mod history;
mod ports;
mod rest;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::disk_limits::Eviction;
use super::events::EventSink;
use super::ledger::{Ledger, Slot};
use super::order::{Order, Scene};
use super::pods;
use super::reporter::{Planned, Reporter};
use crate::api::{ObjectKey, Uid};
use crate::model::{
    DesiredPod, NodeFacts, ObservedPod, PodRecord, PodReport, Reason, SetDefaults, SetRecord,
    SetReport, Snapshot, Term,
};
use crate::plan::ports::host_ports;
use crate::server;
use crate::store::Store;
use history::SetState;

/// How long to wait before a decision that could not be written down is tried again.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// The longest sleep until a set's own time.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How old a list may be. What is listed later is something that came after all, as of a call that was
/// cut off.
const OLD_LIST: SignedDuration = SignedDuration::from_secs(20);

/// What the runtime has of the agent's pods, by uid; `None` until it was listed once.
pub type Inventory = Option<Arc<BTreeMap<Uid, ObservedPod>>>;

/// What the coordinator listens to.
pub struct Inputs {
    /// What the sources want.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The node.
    pub node: watch::Receiver<Arc<NodeFacts>>,
    /// What the configuration gives every set that says nothing else.
    pub defaults: watch::Receiver<SetDefaults>,
    /// What the runtime has, and why it cannot be asked.
    pub inventory: watch::Receiver<(Inventory, Option<Reason>)>,
    /// The workers' reports.
    pub reports: mpsc::Receiver<PodReport>,
    /// What people ask for.
    pub commands: mpsc::Receiver<server::Request>,
    /// Pods that may not go on.
    pub evictions: mpsc::Receiver<Eviction>,
    /// The time pods have when the machine goes down, once it does.
    pub shutdown: watch::Receiver<Option<Term>>,
    /// How many pods are still to stop then.
    pub to_rest: watch::Sender<Option<usize>>,
    /// Ends the coordinator.
    pub cancel: CancellationToken,
}

/// Starts a worker for a mailbox.
pub type StartWorker = Box<dyn FnMut(watch::Receiver<Arc<DesiredPod>>)>;

/// The coordinator's state.
pub struct Coordinator {
    store: Arc<Store>,
    start_worker: StartWorker,
    clock: fn() -> Timestamp,
    reporter: Reporter,
    events: EventSink,
    ledger: Ledger,
    /// Who waits for whom.
    order: Order,
    snapshot: Arc<Snapshot>,
    node: Arc<NodeFacts>,
    defaults: SetDefaults,
    inventory: Inventory,
    /// By set: its history.
    sets: BTreeMap<ObjectKey, SetState>,
    reports: BTreeMap<ObjectKey, Arc<SetReport>>,
    /// Pods that ended and that an older list of the runtime may still name, with the time of that.
    gone: BTreeMap<Uid, Timestamp>,
    /// Sets to decide again.
    dirty: BTreeSet<ObjectKey>,
    /// Sets to decide again at a time.
    wakes: BTreeMap<ObjectKey, Timestamp>,
    /// A decision could not be written down.
    store_failed: bool,
    /// Sets whose record could not be written down.
    unwritten: BTreeSet<ObjectKey>,
    /// The runtime could not be listed when that was tried last.
    runtime_lost: bool,
    /// The time pods have because the machine goes down.
    shutdown: Option<Term>,
    /// When this life of the agent began.
    started_at: Timestamp,
}

/// What an earlier life of the agent left on disk.
pub struct Kept {
    /// The pods.
    pub pods: Vec<PodRecord>,
    /// The sets.
    pub sets: Vec<SetRecord>,
}

impl Coordinator {
    /// Takes up the records an earlier life of the agent left.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        kept: Kept,
        start_worker: StartWorker,
        reporter: Reporter,
        events: EventSink,
        order: Order,
        clock: fn() -> Timestamp,
    ) -> Self {
        let mut ledger = Ledger::default();
        for record in kept.pods {
            ledger.add(Slot::new(Arc::new(record)));
        }
        let sets = kept.sets.into_iter();
        let sets = sets.map(|record| (record.set.clone(), SetState::new(record)));
        Self {
            store,
            start_worker,
            clock,
            reporter,
            events,
            ledger,
            order,
            snapshot: Arc::default(),
            node: Arc::default(),
            defaults: SetDefaults::default(),
            inventory: None,
            sets: sets.collect(),
            reports: BTreeMap::new(),
            gone: BTreeMap::new(),
            dirty: BTreeSet::new(),
            wakes: BTreeMap::new(),
            store_failed: false,
            unwritten: BTreeSet::new(),
            runtime_lost: false,
            shutdown: None,
            started_at: clock(),
        }
    }

    /// Runs until cancelled. `beat` is called after every completed pass, and a pass is made at
    /// least every `beat_every` where that is given.
    pub async fn run(mut self, mut inputs: Inputs, beat_every: Option<Duration>, beat: impl Fn()) {
        self.take_facts(&mut inputs);
        loop {
            self.pass();
            if self.shutdown.is_some() {
                inputs.to_rest.send_replace(Some(self.to_rest()));
            }
            beat();
            let tick = self.tick(beat_every);
            tokio::select! {
                () = inputs.cancel.cancelled() => return,
                Ok(()) = inputs.snapshot.changed() => self.take_facts(&mut inputs),
                Ok(()) = inputs.node.changed() => self.take_facts(&mut inputs),
                Ok(()) = inputs.defaults.changed() => self.take_facts(&mut inputs),
                Ok(()) = inputs.shutdown.changed() => {
                    self.shutdown = *inputs.shutdown.borrow_and_update();
                    self.take_facts(&mut inputs);
                }
                Ok(()) = inputs.inventory.changed() => self.take_inventory(&mut inputs),
                Some(report) = inputs.reports.recv() => {
                    self.take_report(report);
                    while let Ok(report) = inputs.reports.try_recv() {
                        self.take_report(report);
                    }
                }
                Some(request) = inputs.commands.recv() => self.answer(request),
                Some(eviction) = inputs.evictions.recv() => self.evict(eviction),
                () = self.order.changed() => {}
                () = tick => self.take_time(),
            }
        }
    }

    /// The next pass that nothing asks for: to beat, to try again what could not be written, or
    /// because a set is to be looked at then.
    fn tick(&self, beat_every: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let retry = self.store_failed.then_some(STORE_RETRY);
        let now = (self.clock)();
        // Whose turn it was not has it when the time is over.
        let last = self.shutdown.iter().map(|term| &term.until);
        let last = last.filter(|until| **until > now);
        let wake = self.wakes.values().chain(last).min().map(|at| {
            let until = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            // A clock that is set meanwhile delays no wake by more than this.
            until.min(LONGEST_SLEEP)
        });
        let period = retry.into_iter().chain(beat_every).chain(wake).min();
        async move {
            match period {
                Some(period) => tokio::time::sleep(period).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes in that it is later: sets whose time has come, and those that could not be written.
    fn take_time(&mut self) {
        let now = (self.clock)();
        let due = self.wakes.iter().filter(|(_, at)| **at <= now);
        self.dirty.extend(due.map(|(key, _)| key.clone()));
        self.dirty.append(&mut self.unwritten);
        if self.shutdown.is_some_and(|term| term.until <= now) {
            self.dirty.extend(self.ledger.sets().cloned());
        }
    }

    /// A set is to be decided again then, or earlier.
    fn wake(&mut self, key: &ObjectKey, at: Timestamp) {
        let wake = self.wakes.entry(key.clone()).or_insert(at);
        *wake = at.min(*wake);
    }

    /// Takes newer facts; every set is decided again.
    fn take_facts(&mut self, inputs: &mut Inputs) {
        self.snapshot = Arc::clone(&inputs.snapshot.borrow_and_update());
        self.node = Arc::clone(&inputs.node.borrow_and_update());
        self.defaults = *inputs.defaults.borrow_and_update();
        self.take_inventory(inputs);
        self.dirty.extend(self.snapshot.sets.keys().cloned());
        self.dirty.extend(self.ledger.sets().cloned());
        self.dirty.extend(self.sets.keys().cloned());
        self.reports
            .retain(|key, _| self.snapshot.sets.contains_key(key));
    }

    /// Takes a newer list of what the runtime has; only sets with pods can be concerned.
    fn take_inventory(&mut self, inputs: &mut Inputs) {
        let (inventory, trouble) = inputs.inventory.borrow_and_update().clone();
        let first = self.inventory.is_none() && inventory.is_some();
        self.reporter.report_runtime(trouble.as_ref());
        self.runtime_lost = trouble.is_some();
        let Some(listed) = &inventory else { return };
        let now = (self.clock)();
        self.gone
            .retain(|uid, at| listed.contains_key(uid) && now.duration_since(*at) < OLD_LIST);
        for slot in self.ledger.all_mut() {
            if let Some(found) = listed.get(&slot.record.key.uid) {
                slot.see(found);
            }
        }
        let strangers = listed
            .values()
            .filter(|pod| self.ledger.get(&pod.key.uid).is_none());
        self.dirty.extend(strangers.map(|pod| pod.set.clone()));
        if first {
            self.dirty.extend(self.snapshot.sets.keys().cloned());
            self.dirty.extend(self.ledger.sets().cloned());
        }
        self.inventory = inventory;
    }

    fn take_report(&mut self, report: PodReport) {
        let uid = report.want.key().uid.clone();
        let set = report.want.record.set.clone();
        if report.plan.gone {
            self.forget(&uid);
        } else if let Some(slot) = self.ledger.get_mut(&uid) {
            slot.report = Some(report);
        }
        self.dirty.insert(set);
    }

    /// A pod of which nothing is left.
    fn forget(&mut self, uid: &Uid) {
        if let Err(error) = self.store.remove_pod(uid) {
            warn!(%uid, %error, "the record of an ended pod could not be removed");
        }
        if let Some(slot) = self.ledger.remove(uid) {
            info!(pod = %slot.record.key, "gone");
            let spec = slot.record.pod.spec.as_ref();
            if spec.is_some_and(|spec| !host_ports(spec).is_empty()) {
                // Somebody may have waited for its ports.
                self.dirty.extend(self.ledger.sets().cloned());
            }
        }
        self.gone.insert(uid.clone(), (self.clock)());
    }

    /// Decides for every dirty set and publishes what came of it.
    fn pass(&mut self) {
        self.store_failed = false;
        if self.inventory.is_some() {
            self.take_in_strangers();
        }
        self.refresh_order();
        for key in std::mem::take(&mut self.dirty) {
            self.decide(&key);
        }
        self.publish();
    }

    /// Pods in the runtime that carry this node's name and that no record tells of: the state
    /// directory was lost, or the agent was killed before it wrote. One that matches its set's
    /// revision is adopted, any other is ended.
    fn take_in_strangers(&mut self) {
        if !self.snapshot.synced {
            return;
        }
        let Some(listed) = self.inventory.clone() else {
            return;
        };
        for found in listed.values() {
            let uid = &found.key.uid;
            if self.ledger.get(uid).is_some() || self.gone.contains_key(uid) {
                continue;
            }
            let now = (self.clock)();
            let set = self
                .snapshot
                .sets
                .get(&found.set)
                .map(|(set, _)| Arc::clone(set));
            let alone = self.ledger.of_set(&found.set).is_empty();
            let adopted = set
                .filter(|set| alone && *set.revision() == found.revision)
                .and_then(|set| pods::adopted_record(&set, &self.node.name, found, now).ok());
            info!(pod = %found.key, adopted = adopted.is_some(), "found in the runtime without a record");
            let record = adopted.unwrap_or_else(|| pods::orphan_record(found, now));
            if self.write(&record) {
                let mut slot = Slot::new(Arc::new(record));
                slot.see(found);
                self.ledger.add(slot);
                self.dirty.insert(found.set.clone());
            }
        }
    }

    fn write(&mut self, record: &PodRecord) -> bool {
        match self.store.put_pod(record) {
            Ok(()) => true,
            Err(error) => {
                warn!(pod = %record.key, %error, "a decision could not be written down; nothing is done");
                self.store_failed = true;
                false
            }
        }
    }

    /// Sets that have less, or more, to wait for than before are decided again.
    fn refresh_order(&mut self) {
        let changed = self.order.refresh(&Scene {
            snapshot: &self.snapshot,
            node: &self.node,
            ledger: &self.ledger,
            inventory: &self.inventory,
            shutdown: self.shutdown.is_some(),
            now: (self.clock)(),
        });
        self.dirty.extend(changed);
    }

    /// Publishes the view, where it changed.
    fn publish(&mut self) {
        let all = self.inventory.is_some() && self.snapshot.synced;
        let planned = if all { Planned::All } else { Planned::Part };
        let pods = self
            .ledger
            .reports()
            .map(|(uid, report)| (uid.clone(), report.clone()))
            .collect();
        let (node, snapshot) = (&self.node, &self.snapshot);
        self.reporter
            .report_pass(node, snapshot, &self.reports, &pods, planned);
    }
}
