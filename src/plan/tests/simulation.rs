//! An in-memory runtime applies the planned actions while faults and crashes are thrown in. What
//! must hold: it converges, a converged pod has an empty plan, there are never two running
//! instances of a container, no restart comes before its back-off, and an ended pod is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler, Probe};

use super::{at, observed, pod, present};
use crate::model::{
    Action, ContainerId, ContainerState, DesiredPod, Goal, ObservedContainer, ObservedPod,
    ObservedSandbox, Outcome, PodMemory, PodPlan, ProbeFailure, ProbeKind, Probed, Reason,
    SandboxId, SandboxState, StopKind,
};
use crate::plan::backoff::restart_after;
use crate::plan::{plan_pod, plan_probes, remember, take_look};

/// A small repeatable generator (xorshift); the seed names the run.
struct Dice(u64);

impl Dice {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(n)
    }
}

struct World {
    dice: Dice,
    now: Timestamp,
    have: Option<ObservedPod>,
    memory: PodMemory,
    made: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self {
            dice,
            now: at(0),
            have: None,
            memory: PodMemory::default(),
            made: 0,
        }
    }

    fn pass_time(&mut self, by: Duration) {
        self.now = self.now.checked_add(by).expect("in range");
    }

    /// Plans and does one action; the plan as it was.
    fn step(&mut self, want: &Arc<DesiredPod>, faults: bool) -> PodPlan {
        self.finish_init();
        self.probe(want, faults);
        take_look(&mut self.memory, self.have.as_ref());
        let plan = plan_pod(Some(want), self.have.as_ref(), &self.memory, self.now);
        if let Some(action) = plan.actions.first() {
            let outcome = if faults && self.dice.one_in(6) {
                Outcome::Failed(Reason::new("Injected", "a fault"))
            } else {
                self.apply(action)
            };
            remember(&mut self.memory, action, outcome, self.now);
            self.pass_time(Duration::from_millis(50));
        } else if let Some(at) = plan.wake_at {
            assert!(at > self.now, "an empty plan wakes in the future");
            self.now = at;
        }
        plan
    }

    /// An init container that was started is done by the next look.
    fn finish_init(&mut self) {
        let init = self.have.iter().flat_map(|have| &have.containers);
        let init = init
            .filter(|c| c.name.as_str() == "init" && c.is_running())
            .map(|c| c.id.clone());
        for id in init.collect::<Vec<_>>() {
            self.exit(&id, 0);
        }
    }

    /// What the probes of the running containers say by now: mostly that all is well.
    fn probe(&mut self, want: &Arc<DesiredPod>, faults: bool) {
        let targets = plan_probes(want, self.have.as_ref(), &self.memory);
        let mut probes = Probed::clone(&self.memory.probes);
        probes.retain(|id, _| targets.iter().any(|target| target.id == *id));
        for target in targets {
            let results = probes.entry(target.id).or_default();
            match target.kind {
                ProbeKind::Startup => results.startup = Some(true),
                ProbeKind::Readiness => results.readiness = Some(true),
                ProbeKind::Liveness if faults && self.dice.one_in(20) => {
                    results.failed = Some(ProbeFailure {
                        kind: ProbeKind::Liveness,
                        message: "a fault".to_owned(),
                    });
                }
                ProbeKind::Liveness => {}
            }
        }
        self.memory.probes = Arc::new(probes);
    }

    fn pod(&mut self) -> &mut ObservedPod {
        self.have
            .get_or_insert_with(|| observed(Vec::new(), Vec::new()))
    }

    fn container(&mut self, id: &ContainerId) -> &mut ObservedContainer {
        let mut all = self.pod().containers.iter_mut();
        all.find(|container| container.id == *id)
            .expect("the plan names containers that exist")
    }

    fn apply(&mut self, action: &Action) -> Outcome {
        let now = self.now;
        match action {
            Action::PrepareVolumes { .. } => return Outcome::Volumes(Arc::new(BTreeMap::new())),
            Action::EnsureImage { .. } | Action::RecheckImage { .. } => {
                return Outcome::Image(present());
            }
            Action::CheckPorts { .. } => {}
            Action::RunSandbox { attempt, .. } => {
                self.made += 1;
                let id = SandboxId(format!("s{}", self.made));
                let state = SandboxState::Ready;
                let ips = Vec::new();
                let made = ObservedSandbox {
                    id,
                    attempt: *attempt,
                    state,
                    created_at: now,
                    ips,
                };
                self.pod().sandboxes.push(made);
            }
            Action::CreateContainer { .. } => return self.create(action),
            Action::StartContainer { id, .. } => {
                self.container(id).state = ContainerState::Running { started_at: now };
            }
            Action::UpdateResources { id, .. } | Action::RunPostStart { id, .. } => {
                assert!(
                    self.container(id).is_running(),
                    "what is done to it is done while it runs"
                );
            }
            Action::StopContainers { targets } => {
                for target in targets.iter().filter(|t| t.kind != StopKind::HookOnly) {
                    self.exit(&target.id, 0);
                }
            }
            Action::RemoveContainer { id, .. } => {
                assert!(
                    !self.container(id).is_running(),
                    "a running container is never removed"
                );
                self.pod()
                    .containers
                    .retain(|container| container.id != *id);
            }
            Action::StopSandbox { id } => self.set_sandbox(id, SandboxState::NotReady),
            Action::RemoveSandbox { id, .. } => self.remove_sandbox(id),
            Action::Teardown { .. } => assert!(self.have.is_none(), "teardown comes last"),
        }
        Outcome::Done
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
        self.made += 1;
        let id = ContainerId(format!("c{}", self.made));
        self.check_start(container.as_str(), sandbox, *backoff_level);
        let created_at = self.now;
        self.pod().containers.push(ObservedContainer {
            id: id.clone(),
            name: container.clone(),
            attempt: *attempt,
            sandbox: sandbox.clone(),
            created_at,
            state: ContainerState::Created,
            image: String::new(),
            image_ref: String::new(),
            backoff_level: *backoff_level,
            image_stale: None,
            hash: String::new(),
            grace_seconds: Some(30),
        });
        Outcome::Created(id)
    }

    /// Never two instances, and never before the back-off of the one before in the same sandbox.
    fn check_start(&mut self, name: &str, sandbox: &SandboxId, level: u32) {
        let now = self.now;
        let have = self.pod();
        let running = have
            .containers
            .iter()
            .filter(|c| c.name.as_str() == name && c.is_running());
        assert_eq!(running.count(), 0, "never two instances of {name}");
        let before = have
            .newest(name)
            .filter(|before| before.sandbox == *sandbox);
        let before = before.cloned();
        // Of one that a probe ended the wait is counted from the exit before.
        let unhealthy = |before: &ObservedContainer| {
            let instance = self.memory.instances.get(&before.id);
            instance.is_some_and(|instance| instance.unhealthy)
        };
        if let Some(restart) = before
            .filter(|before| !unhealthy(before))
            .and_then(|before| restart_after(&before, &crate::model::BackOff::default()))
        {
            assert!(
                now >= restart.at,
                "{name} is not restarted before its back-off is over"
            );
            assert_eq!(level, restart.level);
        }
    }

    fn set_sandbox(&mut self, id: &SandboxId, state: SandboxState) {
        for sandbox in self
            .pod()
            .sandboxes
            .iter_mut()
            .filter(|sandbox| sandbox.id == *id)
        {
            sandbox.state = state;
        }
    }

    fn remove_sandbox(&mut self, id: &SandboxId) {
        let have = self.pod();
        have.sandboxes.retain(|sandbox| sandbox.id != *id);
        have.containers.retain(|container| container.sandbox != *id);
        if have.sandboxes.is_empty() && have.containers.is_empty() {
            self.have = None;
        }
    }

    fn exit(&mut self, id: &ContainerId, exit_code: i32) {
        let now = self.now;
        let container = self.container(id);
        if let ContainerState::Running { started_at } = container.state {
            let reason = "Error".to_owned();
            let message = String::new();
            container.state = ContainerState::Exited {
                started_at,
                finished_at: now,
                exit_code,
                reason,
                message,
            };
        }
    }

    /// Something bad from outside: a crash, a killed pause process, a restart of the agent.
    fn misfortune(&mut self) {
        let running: Vec<ContainerId> = self
            .have
            .iter()
            .flat_map(|have| &have.containers)
            .filter(|container| container.is_running())
            .map(|container| container.id.clone())
            .collect();
        match running.first() {
            Some(id) if self.dice.one_in(2) => self.exit(id, 1),
            Some(_) if self.dice.one_in(3) => {
                let ids: Vec<_> = self.pod().sandboxes.iter().map(|s| s.id.clone()).collect();
                ids.iter()
                    .for_each(|id| self.set_sandbox(id, SandboxState::NotReady));
            }
            _ => self.memory = PodMemory::default(),
        }
        let seconds = if self.dice.one_in(4) { 700 } else { 3 };
        self.pass_time(Duration::from_secs(seconds));
    }

    fn settle(&mut self, want: &Arc<DesiredPod>) {
        for _ in 0..2_000 {
            let plan = self.step(want, false);
            if plan.actions.is_empty() && plan.wake_at.is_none() {
                return;
            }
        }
        panic!("it does not converge");
    }
}

/// The same pod, in which everything that is restarted has both hooks and all probes.
fn with_hooks_and_probes(mut want: Arc<DesiredPod>) -> Arc<DesiredPod> {
    let record = Arc::make_mut(&mut Arc::make_mut(&mut want).record);
    let spec = record.pod.spec.as_mut().expect("a specification");
    let side = spec.init_containers.iter_mut().flatten().skip(1);
    for container in side.chain(&mut spec.containers) {
        let hook = || Some(LifecycleHandler::default());
        container.lifecycle = Some(Lifecycle {
            post_start: hook(),
            pre_stop: hook(),
            ..Lifecycle::default()
        });
        container.startup_probe = Some(Probe::default());
        container.liveness_probe = Some(Probe::default());
        container.readiness_probe = Some(Probe::default());
    }
    want
}

#[test]
fn it_converges_whatever_happens_and_ends_when_told() {
    let shape: &[(&str, Option<&str>)] = &[("init", None), ("side", Some("Always"))];
    for seed in 1..400 {
        let mut world = World::new(seed);
        let want = with_hooks_and_probes(pod(Goal::Run, shape, &["a", "b"]));
        for _ in 0..60 {
            world.step(&want, true);
            if world.dice.one_in(5) {
                world.misfortune();
            }
        }
        world.settle(&want);
        let have = world.have.as_ref().expect("the pod exists");
        let running = ["side", "a", "b"]
            .map(|name| have.newest(name).is_some_and(ObservedContainer::is_running));
        assert_eq!(running, [true; 3], "seed {seed}: everything runs again");
        let plan = plan_pod(Some(&want), world.have.as_ref(), &world.memory, world.now);
        assert_eq!(
            plan,
            PodPlan::default(),
            "seed {seed}: a converged pod has an empty plan"
        );

        let end = with_hooks_and_probes(pod(Goal::End, shape, &["a", "b"]));
        for _ in 0..40 {
            world.step(&end, true);
        }
        world.settle(&end);
        assert!(
            world.have.is_none() && world.memory.torn_down,
            "seed {seed}: nothing is left"
        );
    }
}
