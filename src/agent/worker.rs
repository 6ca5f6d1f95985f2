//! One pod's loop: look, plan, do the first action, remember, look again.
//!
//! A worker owns the memory of its pod and nothing else. It decides nothing: [`plan_pod`] does. It
//! sleeps only while the plan is empty, and wakes for a changed wish, a hint of the runtime, a
//! probe's result or the plan's own time. The pod's probes are polled beside the loop, so that
//! neither waits for the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::events::EventSink;
use crate::api::ImageName;
use crate::clock;
use crate::model::time::between;
use crate::model::{
    Action, Answer, DesiredPod, Failure, Goal, ImageState, Note, ObservedPod, Outcome, PodMemory,
    PodReport, ProbeTarget, Probed, Reason,
};
use crate::plan::{forget_failures, plan_pod, plan_probes, remember, take_look, take_over};
use crate::probe::{self, Ask};
use crate::runtime::translate::profiles;
use crate::runtime::{Cri, Hint};
use crate::status::events::{Chronicle, unwell};

/// How long to wait before asking a runtime again that does not answer.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// What a worker is made of.
pub struct Worker<C> {
    /// The runtime, and the host's volumes.
    pub cri: C,
    /// What should be; the newest counts.
    pub want: watch::Receiver<Arc<DesiredPod>>,
    /// Hints that something happened in the runtime.
    pub hints: broadcast::Receiver<Hint>,
    /// Where reports go.
    pub reports: mpsc::Sender<PodReport>,
    /// Where events go.
    pub events: EventSink,
    /// The time on the line.
    pub clock: fn() -> Timestamp,
    /// Ends the worker; its pod stays as it is.
    pub cancel: CancellationToken,
}

/// Why a wait ended.
enum Wake {
    /// There is something to look at.
    Look,
    /// The agent stops, or nobody wants the pod's reports any more.
    Stop,
}

/// What a worker knows while it lives.
struct Life {
    want: Arc<DesiredPod>,
    memory: PodMemory,
    /// Whether the runtime has answered yet.
    has_looked: bool,
    /// What was told of the pod.
    chronicle: Chronicle,
    /// Which probes are to be made.
    targets: watch::Sender<Arc<Vec<ProbeTarget>>>,
    /// What they say.
    probes: watch::Receiver<Arc<Probed>>,
    /// The last report that was sent.
    told: Option<PodReport>,
}

impl<C: Cri + Ask + Clone> Worker<C> {
    /// Runs until the pod is gone or the agent stops.
    pub async fn run(mut self) {
        let want = self.want.borrow_and_update().clone();
        let (targets, wanted) = watch::channel(Arc::default());
        let (results, probes) = watch::channel(Arc::default());
        let pod = Arc::clone(&want);
        let life = Life {
            want,
            memory: PodMemory::default(),
            has_looked: false,
            chronicle: Chronicle::default(),
            targets,
            probes,
            told: None,
        };
        let (asker, clock, events) = (self.cri.clone(), self.clock, self.events.clone());
        let heard = |probe: &ProbeTarget, answer: &Answer| {
            if let Some(note) = unwell(&pod, probe, answer) {
                events.tell(note);
            }
        };
        tokio::select! {
            () = self.live(life) => {}
            () = probe::run(&asker, wanted, results, clock, heard) => {}
        }
    }

    async fn live(&mut self, mut life: Life) {
        while !self.cancel.is_cancelled() {
            if let Wake::Stop = self.step(&mut life).await {
                return;
            }
        }
    }

    /// Looks once, plans, and does the first action or waits.
    async fn step(&mut self, life: &mut Life) -> Wake {
        self.take_newest(life).await;
        let have = match self.cri.observe(&life.want.key().uid).await {
            Ok(have) => have.map(Arc::new),
            Err(error) => {
                debug!(pod = %life.want.key(), %error, "the runtime could not be asked");
                self.tell(life, unobserved(life)).await;
                return self.wait(None, Some(UNREACHABLE), life).await;
            }
        };
        let is_first = !std::mem::replace(&mut life.has_looked, true);
        if let Some(have) = have.as_ref().filter(|_| is_first) {
            take_over(&mut life.memory, &life.want, have);
        }
        take_look(&mut life.memory, have.as_deref());
        life.memory.probes = Arc::clone(&life.probes.borrow_and_update());
        let targets = plan_probes(&life.want, have.as_deref(), &life.memory);
        life.targets.send_if_modified(|old| {
            let changed = **old != targets;
            if changed {
                *old = Arc::new(targets);
            }
            changed
        });
        let now = (self.clock)();
        let plan = plan_pod(Some(&life.want), have.as_deref(), &life.memory, now);
        self.tell_all(life.chronicle.wait(&life.want, &plan, &life.memory));
        let report = PodReport {
            want: Arc::clone(&life.want),
            have: have.clone(),
            observed: true,
            looked_at: life.want.look_at.filter(|at| *at <= now),
            plan: Arc::new(plan),
            images: Arc::new(life.memory.images.clone()),
            probes: Arc::clone(&life.memory.probes),
        };
        let plan = Arc::clone(&report.plan);
        self.tell(life, report).await;
        if plan.gone {
            return Wake::Stop;
        }
        match plan.actions.first() {
            Some(action) => self.carry_out(life, action).await,
            None => {
                let look_at = life.want.look_at.filter(|at| *at > now);
                let until = [plan.wake_at, look_at].into_iter().flatten().min();
                let pause = until.map(|until| self.pause(until));
                self.wait(have.as_deref(), pause, life).await
            }
        }
    }

    /// Takes the newest wish, where there is a newer one.
    async fn take_newest(&mut self, life: &mut Life) {
        let newest = self.want.borrow_and_update().clone();
        if Arc::ptr_eq(&newest, &life.want) {
            return;
        }
        if newest.references != life.want.references || newest.held != life.want.held {
            forget_failures(&mut life.memory);
        }
        if newest.goal != life.want.goal {
            life.memory.effect.fruitless = None;
        }
        if newest.goal == Goal::End && life.want.goal != Goal::End {
            self.cri
                .release_images(&newest.key().uid, BTreeSet::new())
                .await;
        }
        life.want = newest;
    }

    /// Sends a report when it differs from the last one.
    async fn tell(&self, life: &mut Life, report: PodReport) {
        if life.told.as_ref() != Some(&report) {
            life.told = Some(report.clone());
            // Without a coordinator the agent is ending, and the token says so.
            self.reports.send(report).await.ok();
        }
    }

    fn tell_all(&self, notes: Vec<Note>) {
        notes.into_iter().for_each(|note| self.events.tell(note));
    }

    /// Does one action and remembers what came of it.
    async fn carry_out(&mut self, life: &mut Life, action: &Action) -> Wake {
        let want = &life.want;
        debug!(pod = %want.key(), %action, "begins");
        self.tell_all(life.chronicle.begin(want, action, &life.memory));
        // A hook may take forever, as may a volume that does not answer, and dropping it ends it.
        let may_be_cut = matches!(
            action,
            Action::RunPostStart { .. } | Action::PrepareVolumes { .. }
        );
        let done = tokio::select! {
            done = self.cri.execute(action) => done,
            () = end_wanted(&mut self.want), if may_be_cut => return Wake::Look,
            () = self.cancel.cancelled() => return Wake::Stop,
        };
        match done {
            Ok(outcome) => {
                let outcome = profiles::with_cause(want, action, outcome);
                log_outcome(want, action, &outcome);
                let now = (self.clock)();
                self.tell_all(life.chronicle.end(want, action, &outcome, now));
                remember(&mut life.memory, action, outcome, now);
                Wake::Look
            }
            Err(error) => {
                warn!(pod = %want.key(), %action, %error, "the runtime could not be reached");
                tokio::select! {
                    () = tokio::time::sleep(UNREACHABLE) => Wake::Look,
                    () = self.cancel.cancelled() => Wake::Stop,
                }
            }
        }
    }

    fn pause(&self, until: Timestamp) -> Duration {
        between((self.clock)(), until)
    }

    /// Sleeps until there is something to look at.
    async fn wait(
        &mut self,
        have: Option<&ObservedPod>,
        pause: Option<Duration>,
        life: &mut Life,
    ) -> Wake {
        let memory = &mut life.memory;
        let clock = self.clock;
        let timeout = async {
            match pause {
                Some(pause) => clock::sleep(clock, pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timeout);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return Wake::Stop,
                () = &mut timeout => return Wake::Look,
                changed = self.want.changed() => {
                    return if changed.is_ok() { Wake::Look } else { Wake::Stop };
                }
                Ok(()) = life.probes.changed() => return Wake::Look,
                hint = self.hints.recv() => match hint {
                    Ok(Hint::Listed(pods)) if is_as_listed(have, pods.get(&life.want.key().uid)) => {}
                    Ok(hint) if !concerns(&hint, have, memory) => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return Wake::Look,
                    Err(broadcast::error::RecvError::Closed) => return Wake::Stop,
                },
            }
        }
    }
}

/// Ends when the pod is to be stopped.
async fn end_wanted(want: &mut watch::Receiver<Arc<DesiredPod>>) {
    let ends = |want: &Arc<DesiredPod>| matches!(want.goal, Goal::End | Goal::Rest);
    if want.wait_for(ends).await.is_err() {
        std::future::pending().await
    }
}

/// Whether a hint is about this pod. An image whose pull ended is forgotten, so that the plan asks
/// for it again and hears the result.
fn concerns(hint: &Hint, have: Option<&ObservedPod>, memory: &mut PodMemory) -> bool {
    match hint {
        Hint::All => {
            for stale in memory.stale.values_mut() {
                stale.asked = false;
            }
            memory.images.retain(|_, state| !state.is_awaited());
            true
        }
        Hint::Images => {
            let before = memory.images.len();
            memory
                .images
                .retain(|_, state| !state.is_awaited() && !matches!(state, ImageState::Failed(_)));
            memory.images.len() < before
        }
        Hint::Network => {
            let waits = |failure: &Failure| failure.reason.word == Reason::NETWORK_NOT_READY;
            memory.sandbox.take_if(|failure| waits(failure)).is_some()
        }
        Hint::Container(id) => have.is_some_and(|have| {
            have.containers
                .iter()
                .any(|container| container.id.0 == *id)
                || have.sandboxes.iter().any(|sandbox| sandbox.id.0 == *id)
        }),
        Hint::Listed(_) => true,
        Hint::Image(image) => {
            let before = memory.images.len();
            memory.images.retain(|name, state| {
                !state.is_awaited()
                    || *state == ImageState::Importing
                    || ImageName::in_full(name) != *image
            });
            let mut asked = false;
            for (name, stale) in &mut memory.stale {
                if ImageName::in_full(name) == *image {
                    asked |= std::mem::take(&mut stale.asked);
                }
            }
            memory.images.len() < before || asked
        }
    }
}

/// Whether what was observed last is what a later list shows.
fn is_as_listed(have: Option<&ObservedPod>, listed: Option<&ObservedPod>) -> bool {
    match (have, listed) {
        (Some(have), Some(listed)) => have.is_as_listed(listed),
        (have, listed) => have.is_none() && listed.is_none(),
    }
}

/// The last report, marked as no longer observed.
fn unobserved(life: &Life) -> PodReport {
    let known = life.told.clone().unwrap_or_else(|| PodReport {
        want: Arc::clone(&life.want),
        have: None,
        observed: false,
        looked_at: None,
        plan: Arc::default(),
        images: Arc::default(),
        probes: Arc::default(),
    });
    PodReport {
        want: Arc::clone(&life.want),
        observed: false,
        looked_at: None,
        ..known
    }
}

/// Failures are told as warnings, what an operator wants to read of a node that works as news.
fn log_outcome(want: &DesiredPod, action: &Action, outcome: &Outcome) {
    match outcome {
        Outcome::Failed(reason) => warn!(pod = %want.key(), %action, "failed: {reason}"),
        _ if is_noteworthy(action) => info!(pod = %want.key(), %action, "done"),
        _ => debug!(pod = %want.key(), %action, "done"),
    }
}

/// What an operator wants to read in the log of a node that works.
fn is_noteworthy(action: &Action) -> bool {
    matches!(
        action,
        Action::RunSandbox { .. }
            | Action::StartContainer { .. }
            | Action::StopContainers { .. }
            | Action::RemoveSandbox { .. }
    )
}
