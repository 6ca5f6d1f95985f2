//! What the runtime in memory does when it is called.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use setlet::model::{
    Action, Check, ContainerId, ContainerState, DesiredPod, ImageState, ObservedContainer,
    ObservedPod, ObservedSandbox, Outcome, Reason, SandboxId, SandboxState, StopKind, StopTarget,
};

use crate::timeline_script::Script;
use crate::timeline_world::{CALL, World};

impl World {
    pub fn apply(&mut self, action: &Action) -> Outcome {
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
            state_dir: None,
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

    pub fn set(&mut self, id: &ContainerId, state: ContainerState) {
        let mut all = self.have.iter_mut().flat_map(|have| &mut have.containers);
        if let Some(container) = all.find(|container| container.id == *id) {
            container.state = state;
        }
    }

    pub fn exit(&mut self, id: &ContainerId, exit_code: i32, finished_at: Timestamp) {
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
}
