//! From sets to desired pods: wakes when a source, the node, the runtime's inventory or a worker
//! says something new, decides again for the sets concerned, and gives each pod's worker its wish.
//!
//! What it decides is on disk before any worker hears of it. So it has a thread of its own, where it
//! waits for the disk however long that takes; nobody else waits for it. It touches neither runtime nor network
//! itself, and ends nothing on the word of a snapshot that is not synced.

mod apply;
mod commands;
mod decide;
mod evict;
mod history;
mod ports;
mod records;
mod rest;
mod strangers;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::disk_limits::Eviction;
use super::events::EventSink;
use super::inventory::{Inventory, Listing};
use super::kept::Kept;
use super::ledger::{Ledger, Slot};
use super::newest::Newest;
use super::order::{Order, Scene};
use super::reporter::{Planned, Reporter};
use super::state_disk::Disk;
use super::sweep::Whose;
use crate::api::{ObjectKey, Uid};
use crate::clock;
use crate::model::time::between;
use crate::model::{DesiredPod, NodeFacts, PodReport, SetDefaults, SetReport, Snapshot, Term};
use crate::server;
use history::SetState;
use records::Unwritten;
use strangers::Foreign;

/// What the coordinator listens to.
pub struct Inputs {
    /// What the sources want.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The node.
    pub node: watch::Receiver<Arc<NodeFacts>>,
    /// What the configuration gives every set that says nothing else.
    pub defaults: watch::Receiver<SetDefaults>,
    /// What the runtime has, and why it cannot be asked.
    pub inventory: watch::Receiver<Listing>,
    /// The workers' reports.
    pub reports: Arc<Newest>,
    /// What people ask for.
    pub commands: mpsc::Receiver<server::Request>,
    /// Pods that may not go on.
    pub evictions: mpsc::Receiver<Eviction>,
    /// Who asks whose directories are.
    pub whose: mpsc::Receiver<Whose>,
    /// The time pods have when the machine goes down, once it does.
    pub shutdown: watch::Receiver<Option<Term>>,
    /// How many pods are still to stop then.
    pub to_rest: watch::Sender<Option<usize>>,
    /// Ends the coordinator.
    pub cancel: CancellationToken,
}

/// Starts a worker for a mailbox.
pub type StartWorker = Box<dyn FnMut(watch::Receiver<Arc<DesiredPod>>) + Send>;

/// The coordinator's state.
pub struct Coordinator {
    disk: Disk,
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
    /// Pods that ended and that the newest list of the runtime may still name. What is listed later is
    /// something that came after all, as of a call that was cut off.
    gone: BTreeMap<Uid, Instant>,
    /// Pods of another agent with this node's name.
    foreign: Foreign,
    /// Sets to decide again.
    dirty: BTreeSet<ObjectKey>,
    /// Sets to decide again at a time.
    wakes: BTreeMap<ObjectKey, Timestamp>,
    /// What could not be written down.
    unwritten: Unwritten,
    /// The runtime could not be listed when that was tried last.
    runtime_lost: bool,
    /// The time pods have because the machine goes down.
    shutdown: Option<Term>,
    /// When this life of the agent began.
    started_at: Timestamp,
}

impl Coordinator {
    /// Takes up the records an earlier life of the agent left.
    #[must_use]
    pub fn new(
        disk: Disk,
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
            disk,
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
            foreign: Foreign::default(),
            dirty: BTreeSet::new(),
            wakes: BTreeMap::new(),
            unwritten: Unwritten::default(),
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
            // A write may have taken until the agent ended, and with it the runtime's timers.
            if inputs.cancel.is_cancelled() {
                return;
            }
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
                reports = inputs.reports.take() => {
                    reports.into_iter().for_each(|report| self.take_report(report));
                }
                Some(request) = inputs.commands.recv() => self.answer(request),
                Some(eviction) = inputs.evictions.recv() => self.evict(eviction),
                Some(whose) = inputs.whose.recv() => self.tell_whose(whose),
                () = self.order.changed() => {}
                () = tick => self.take_time(),
            }
        }
    }

    /// The next pass that nothing asks for: to beat, to try again what could not be written, or
    /// because a set is to be looked at then.
    fn tick(&self, beat_every: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let retry = self.unwritten.retry_at().into_iter();
        let retry = retry.chain(self.foreign.retry_at()).min();
        let retry = retry.map(|at| at.saturating_duration_since(Instant::now()));
        let now = (self.clock)();
        // Whose turn it was not has it when the time is over.
        let last = self.shutdown.iter().map(|term| &term.until);
        let last = last.filter(|until| **until > now);
        let wake = self
            .wakes
            .values()
            .chain(last)
            .min()
            .map(|at| between(now, *at));
        let period = retry.into_iter().chain(beat_every).chain(wake).min();
        let clock = self.clock;
        async move {
            match period {
                Some(period) => clock::sleep(clock, period).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes in that it is later: sets whose time has come.
    fn take_time(&mut self) {
        let now = (self.clock)();
        let due = self.wakes.iter().filter(|(_, at)| **at <= now);
        self.dirty.extend(due.map(|(key, _)| key.clone()));
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
        let newest = inputs.inventory.borrow_and_update();
        let inventory = newest.pods.clone();
        let first = self.inventory.is_none() && inventory.is_some();
        self.reporter.report_runtime(newest.trouble.as_ref());
        self.runtime_lost = newest.trouble.is_some();
        self.gone
            .retain(|_, at| newest.asked.is_none_or(|asked| *at >= asked));
        let Some(listed) = &inventory else { return };
        for slot in self.ledger.all_mut() {
            if let Some(found) = listed.get(&slot.record.key.uid) {
                slot.see(found);
            }
        }
        let strangers = listed
            .values()
            .filter(|pod| self.ledger.get(&pod.key.uid).is_none());
        self.dirty.extend(strangers.map(|pod| pod.set.clone()));
        self.foreign.forget();
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
            slot.take(report);
        }
        self.dirty.insert(set);
    }

    /// Decides for every dirty set and publishes what came of it.
    fn pass(&mut self) {
        self.retry_writes();
        if self.inventory.is_some() {
            self.take_in_strangers();
        }
        self.refresh_order();
        for key in std::mem::take(&mut self.dirty) {
            self.decide(&key);
        }
        self.settle_writes();
        self.publish();
    }

    /// Sets that have less, or more, to wait for than before are decided again.
    fn refresh_order(&mut self) {
        let changed = self.order.refresh(&Scene {
            snapshot: &self.snapshot,
            node: &self.node,
            ledger: &self.ledger,
            inventory: &self.inventory,
            reports: &self.reports,
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
