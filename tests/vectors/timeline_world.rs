//! A runtime in memory on virtual time: it applies what the planner wants, its containers live and
//! die as their commands say, and it writes down every call that a runtime would have got.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use setlet::model::{
    Action, Answer, Check, ContainerId, ContainerState, DesiredPod, ImageState, ObservedContainer,
    ObservedPod, ObservedSandbox, Outcome, PodMemory, Reason, SandboxId, SandboxState, StopKind,
    StopTarget,
};
use setlet::plan::{forget_removed, plan_pod, plan_probes, remember};
use setlet::probe::Schedule;

use crate::timeline_script::Script;

/// How long a call takes that has nothing to wait for.
const CALL: Duration = Duration::from_millis(20);

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
    have: Option<ObservedPod>,
    memory: PodMemory,
    schedule: Schedule,
    scripts: BTreeMap<String, Script>,
    /// Containers that will end by themselves.
    ends: Vec<(Timestamp, ContainerId, i32)>,
    made: u32,
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
            forget_removed(&mut self.memory, self.have.as_ref());
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

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.end_due();
    }

    /// Ends what has ended by now.
    fn end_due(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.ends.extract_if(.., |(at, _, _)| *at <= now).collect();
        for (at, id, code) in due {
            self.exit(&id, code, at);
        }
    }

    fn call(&mut self, what: &'static str, subject: &str, attempt: u32, detail: String) {
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

    fn pod(&mut self) -> Option<&mut ObservedPod> {
        self.have.as_mut()
    }

    fn find(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        let mut all = self.have.iter().flat_map(|have| &have.containers);
        all.find(|container| container.id == *id)
    }

    fn apply(&mut self, action: &Action) -> Outcome {
        match action {
            Action::PrepareVolumes { .. } => return Outcome::Volumes(Arc::default()),
            Action::EnsureImage { .. } | Action::RecheckImage { .. } => {
                return Outcome::Image(self.image());
            }
            Action::RunSandbox { pod, attempt } => self.run_sandbox(pod, *attempt),
            Action::CreateContainer { .. } => return self.create(action),
            Action::StartContainer { id, .. } => self.start(id),
            Action::RunPostStart { id, hook, .. } => return self.post_start(id, hook),
            Action::StopContainers { targets } => self.stop(targets),
            Action::RemoveContainer { id, .. } => {
                if let Some(have) = self.pod() {
                    have.containers.retain(|container| container.id != *id);
                }
            }
            Action::StopSandbox { id } => {
                self.call("StopPodSandbox", "sandbox", 0, String::new());
                self.kill_sandbox(Some(id));
            }
            Action::RemoveSandbox { id, .. } => self.remove_sandbox(id),
            Action::CheckPorts { .. }
            | Action::UpdateResources { .. }
            | Action::Teardown { .. } => {}
        }
        self.pass(CALL);
        Outcome::Done
    }

    fn image(&self) -> ImageState {
        ImageState::Present {
            image_ref: "sha256:1".to_owned(),
            uid: None,
            username: String::new(),
            at: self.now,
            stale: None,
            pulled: None,
        }
    }

    fn run_sandbox(&mut self, pod: &DesiredPod, attempt: u32) {
        self.call("RunPodSandbox", "sandbox", attempt, String::new());
        self.made += 1;
        let sandbox = ObservedSandbox {
            id: SandboxId(format!("s{}", self.made)),
            attempt,
            state: SandboxState::Ready,
            created_at: self.now,
            ips: Vec::new(),
        };
        let record = &pod.record;
        let have = self.have.get_or_insert_with(|| ObservedPod {
            key: record.key.clone(),
            set: record.set.clone(),
            revision: record.revision.clone(),
            sandboxes: Vec::new(),
            containers: Vec::new(),
        });
        have.sandboxes.push(sandbox);
    }

    fn create(&mut self, action: &Action) -> Outcome {
        let Action::CreateContainer {
            container,
            attempt,
            sandbox,
            backoff_level,
            ..
        } = action
        else {
            return Outcome::Done;
        };
        self.call(
            "CreateContainer",
            container.as_str(),
            *attempt,
            String::new(),
        );
        self.made += 1;
        let id = ContainerId(format!("c{}", self.made));
        let made = ObservedContainer {
            id: id.clone(),
            name: container.clone(),
            attempt: *attempt,
            sandbox: sandbox.clone(),
            created_at: self.now,
            state: ContainerState::Created,
            image: String::new(),
            image_ref: String::new(),
            backoff_level: *backoff_level,
            image_stale: None,
            hash: String::new(),
            grace_seconds: None,
        };
        if let Some(have) = self.pod() {
            have.containers.push(made);
        }
        self.pass(CALL);
        Outcome::Created(id)
    }

    fn start(&mut self, id: &ContainerId) {
        let Some((name, attempt)) = self.find(id).map(|c| (c.name.clone(), c.attempt)) else {
            return;
        };
        self.call("StartContainer", name.as_str(), attempt, String::new());
        self.pass(CALL);
        let started_at = self.now;
        self.set(id, ContainerState::Running { started_at });
        let script = self.scripts.get(name.as_str());
        if let Some((lives, code)) = script.and_then(|script| script.life(attempt)) {
            self.ends.push((started_at + lives, id.clone(), code));
        }
    }

    fn set(&mut self, id: &ContainerId, state: ContainerState) {
        let mut all = self.have.iter_mut().flat_map(|have| &mut have.containers);
        if let Some(container) = all.find(|container| container.id == *id) {
            container.state = state;
        }
    }

    fn exit(&mut self, id: &ContainerId, exit_code: i32, finished_at: Timestamp) {
        self.ends.retain(|(_, other, _)| other != id);
        if let Some(ContainerState::Running { started_at }) = self.find(id).map(|c| c.state.clone())
        {
            let state = ContainerState::Exited {
                started_at,
                finished_at,
                exit_code,
                reason: String::new(),
                message: String::new(),
            };
            self.set(id, state);
        }
    }

    fn post_start(&mut self, id: &ContainerId, hook: &Check) -> Outcome {
        let Some((name, attempt)) = self.find(id).map(|c| (c.name.clone(), c.attempt)) else {
            return Outcome::Done;
        };
        let (time, code) = self.hook(name.as_str(), attempt, hook);
        self.pass(time + CALL);
        match code {
            0 => Outcome::Done,
            code => Outcome::Failed(Reason::new("PostStartHookError", code.to_string())),
        }
    }

    /// Begins a hook: how long it takes and its status.
    fn hook(&mut self, name: &str, attempt: u32, hook: &Check) -> (Duration, i32) {
        match hook {
            Check::Exec { command } => {
                self.call("ExecSync", name, attempt, command.join(" "));
                Script::new(command)
                    .life(attempt)
                    .unwrap_or((Duration::MAX, 0))
            }
            Check::Sleep { time } => (*time, 0),
            _ => (Duration::ZERO, 0),
        }
    }

    /// Stops containers at the same time, each after its hook.
    fn stop(&mut self, targets: &[StopTarget]) {
        let begun = self.now;
        let mut over = begun;
        for target in targets {
            let Some(container) = self.find(&target.id).cloned() else {
                continue;
            };
            let name = container.name.as_str();
            self.now = begun;
            if let Some(hook) = &target.hook {
                let (time, _) = self.hook(name, container.attempt, hook);
                self.now += time.min(target.timeout) + CALL;
            }
            let passed = self.now.duration_since(begun).as_secs();
            let passed = Duration::from_secs(passed.unsigned_abs());
            if target.kind != StopKind::HookOnly {
                let left = target.timeout.saturating_sub(passed);
                let left = left.max(Duration::from_secs(2));
                let seconds = left.as_secs().to_string();
                self.call("StopContainer", name, container.attempt, seconds);
                let term = self.scripts.get(name).and_then(Script::term);
                let (takes, code) = term
                    .filter(|(takes, _)| *takes < left)
                    .unwrap_or((left, 137));
                self.now += takes + CALL;
                self.exit(&target.id, code, self.now);
            }
            over = over.max(self.now);
        }
        self.now = over;
        self.end_due();
    }

    fn remove_sandbox(&mut self, id: &SandboxId) {
        if let Some(have) = self.pod() {
            have.sandboxes.retain(|sandbox| sandbox.id != *id);
            have.containers.retain(|container| container.sandbox != *id);
            if have.sandboxes.is_empty() && have.containers.is_empty() {
                self.have = None;
            }
        }
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
