//! A runtime in memory on virtual time: it applies what the planner wants, its containers live and
//! die as their commands say, and it writes down every call that a runtime would have got.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use setlet::model::{
    Answer, Check, ContainerId, DesiredPod, ObservedContainer, ObservedPod, PodMemory, SandboxId,
    SandboxState,
};
use setlet::plan::{plan_pod, plan_probes, remember, take_look};
use setlet::probe::Schedule;

use crate::timeline_script::Script;

/// How long a call takes that has nothing to wait for.
pub const CALL: Duration = Duration::from_millis(20);

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it began.
    pub at: Timestamp,
    /// The CRI method.
    pub what: &'static str,
    /// The container, or the sandbox.
    pub subject: String,
    /// Its attempt.
    pub attempt: u32,
    /// What else is compared: a stop's timeout, a hook's command.
    pub detail: String,
}

/// The runtime, the agent's memory, and what was called.
pub struct World {
    pub now: Timestamp,
    pub calls: Vec<Call>,
    /// Whether the agent runs.
    pub agent: bool,
    /// Whether all is ready for the pod to run.
    pub staged: bool,
    /// Whether nothing is left of it.
    pub gone: bool,
    /// What it has of the pod.
    pub have: Option<ObservedPod>,
    memory: PodMemory,
    schedule: Schedule,
    /// What containers do, by name.
    pub scripts: BTreeMap<String, Script>,
    /// Containers that will end by themselves.
    pub ends: Vec<(Timestamp, ContainerId, i32)>,
    /// How many sandboxes and containers were made.
    pub made: u32,
}

impl World {
    pub fn new(scripts: BTreeMap<String, Script>) -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000),
            calls: Vec::new(),
            agent: true,
            staged: false,
            gone: false,
            have: None,
            memory: PodMemory::default(),
            schedule: Schedule::default(),
            scripts,
            ends: Vec::new(),
            made: 0,
        }
    }

    /// Forgets all the agent knows, as its end does.
    pub fn forget(&mut self) {
        self.memory = PodMemory::default();
        self.schedule = Schedule::default();
    }

    /// Whether there is a sandbox.
    pub fn has_sandbox(&self) -> bool {
        self.have
            .as_ref()
            .is_some_and(|have| !have.sandboxes.is_empty())
    }

    /// Whether there is a container.
    pub fn has_container(&self) -> bool {
        self.have
            .as_ref()
            .is_some_and(|have| !have.containers.is_empty())
    }

    /// Whether no container runs, or is to be started.
    pub fn is_still(&self) -> bool {
        let mut containers = self.have.iter().flat_map(|have| &have.containers);
        containers.all(ObservedContainer::has_exited)
    }

    /// Goes on until this time, or until an ended pod is gone.
    pub fn run(&mut self, want: &Arc<DesiredPod>, until: Timestamp) {
        while self.now < until {
            self.end_due();
            if !self.agent {
                self.sleep(until, None);
                continue;
            }
            self.probe(want);
            take_look(&mut self.memory, self.have.as_ref());
            let plan = plan_pod(Some(want), self.have.as_ref(), &self.memory, self.now);
            self.staged = plan.staged;
            self.gone = plan.gone;
            if plan.gone {
                return;
            }
            match plan.actions.first() {
                Some(action) => {
                    let outcome = self.apply(action);
                    remember(&mut self.memory, action, outcome, self.now);
                }
                None => self.sleep(until, plan.wake_at),
            }
        }
    }

    /// To the next time at which something happens.
    fn sleep(&mut self, until: Timestamp, wake: Option<Timestamp>) {
        let probe = self.schedule.next_at().filter(|_| self.agent);
        let ends = self.ends.iter().map(|(at, _, _)| *at);
        let next = ends.chain(wake).chain(probe).chain([until]).min();
        self.now = next.unwrap_or(until).max(self.now);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.end_due();
    }

    /// Ends what has ended by now.
    pub fn end_due(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.ends.extract_if(.., |(at, _, _)| *at <= now).collect();
        for (at, id, code) in due {
            self.exit(&id, code, at);
        }
    }

    pub fn call(&mut self, what: &'static str, subject: &str, attempt: u32, detail: String) {
        self.calls.push(Call {
            at: self.now,
            what,
            subject: subject.to_owned(),
            attempt,
            detail,
        });
    }

    /// Answers the probes that are due.
    fn probe(&mut self, want: &Arc<DesiredPod>) {
        let targets = plan_probes(want, self.have.as_ref(), &self.memory);
        self.schedule.set_targets(&targets, self.now);
        for target in self.schedule.take_due(self.now) {
            let age = self.now.duration_since(target.started_at);
            let well = match (&target.check, self.scripts.get(target.container.as_str())) {
                (Check::Exec { command }, Some(script)) => script.answers(command, age),
                _ => true,
            };
            let answer = if well {
                Answer::Success
            } else {
                Answer::Failure("no".to_owned())
            };
            let key = (target.id, target.kind);
            self.schedule.record(&key, &answer, self.now, self.now);
        }
        self.memory.probes = Arc::new(self.schedule.results().clone());
    }

    pub fn pod(&mut self) -> Option<&mut ObservedPod> {
        self.have.as_mut()
    }

    pub fn find(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        let mut all = self.have.iter().flat_map(|have| &have.containers);
        all.find(|container| container.id == *id)
    }

    /// A sandbox is no longer ready: this one, or all there are.
    pub fn kill_sandbox(&mut self, id: Option<&SandboxId>) {
        let sandboxes = self.have.iter_mut().flat_map(|have| &mut have.sandboxes);
        for sandbox in sandboxes.filter(|s| id.is_none_or(|id| s.id == *id)) {
            sandbox.state = SandboxState::NotReady;
        }
    }

    /// The running container of a name gets a signal.
    pub fn signal(&mut self, name: &str, signal: i32) {
        let newest = self.have.as_ref().and_then(|have| have.newest(name));
        let Some(id) = newest.map(|container| container.id.clone()) else {
            return;
        };
        match self.scripts.get(name).and_then(Script::term) {
            Some((takes, code)) if signal == 15 => self.ends.push((self.now + takes, id, code)),
            _ if signal == 9 => self.exit(&id, 137, self.now),
            _ => {}
        }
    }

    /// Everything but the sandboxes is removed.
    pub fn remove_containers(&mut self) {
        self.ends.clear();
        if let Some(have) = self.pod() {
            have.containers.clear();
        }
    }
}
