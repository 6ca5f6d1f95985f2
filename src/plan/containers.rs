//! Init containers, sidecars and main containers of a pod whose sandbox is ready: which to start,
//! in which order, and after which wait.
//!
//! Init containers run one by one, each to success. A sidecar (an init container with
//! `restartPolicy: Always`, KEP-753) only has to be started for the next to follow, and is restarted
//! for as long as the pod lives. Main containers start when all of that is done; once one of them
//! exists in the sandbox, plain init containers are not looked at again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use super::{backoff, end, hooks, images, probes, volumes, wait_until};
use crate::api::ContainerName;
use crate::model::{
    Action, BackOff, ContainerState, DesiredPod, ObservedContainer, ObservedPod, ObservedSandbox,
    PodMemory, PodPlan, Reason, Renewal, StopKind, StopTarget,
};

/// A container of the specification, with the role it plays.
#[derive(Clone, Copy)]
pub(super) struct Container<'a> {
    spec: &'a core::Container,
    init: bool,
}

impl<'a> Container<'a> {
    pub(super) fn spec(&self) -> &'a core::Container {
        self.spec
    }

    pub(super) fn name(&self) -> &'a str {
        &self.spec.name
    }

    pub(super) fn image(&self) -> &'a str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    pub(super) fn pull_policy(&self) -> &'a str {
        self.spec
            .image_pull_policy
            .as_deref()
            .unwrap_or("IfNotPresent")
    }

    pub(super) fn is_sidecar(&self) -> bool {
        self.init && self.spec.restart_policy.as_deref() == Some("Always")
    }

    /// Plain init containers have no probes.
    pub(super) fn is_probed(&self) -> bool {
        !self.init || self.is_sidecar()
    }

    pub(super) fn post_start(&self) -> Option<&'a core::LifecycleHandler> {
        self.spec.lifecycle.as_ref()?.post_start.as_ref()
    }

    pub(super) fn pre_stop(&self) -> Option<&'a core::LifecycleHandler> {
        self.spec.lifecycle.as_ref()?.pre_stop.as_ref()
    }

    /// Whether an exit with this status is followed by a restart (KEP-5307 for main containers).
    fn restarts_after(&self, exit_code: i32) -> bool {
        for rule in self.spec.restart_policy_rules.iter().flatten() {
            let Some(codes) = &rule.exit_codes else {
                continue;
            };
            let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
            if listed == (codes.operator == "In") {
                return rule.action == "Restart";
            }
        }
        match self.spec.restart_policy.as_deref() {
            Some("Never") => false,
            Some("OnFailure") => exit_code != 0,
            Some(_) => true,
            None => !self.init || exit_code != 0,
        }
    }
}

/// Every container of a pod, init containers first, in the order of the specification.
pub(super) fn all(spec: &core::PodSpec) -> impl Iterator<Item = Container<'_>> {
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|spec| Container { spec, init: true });
    init.chain(
        spec.containers
            .iter()
            .map(|spec| Container { spec, init: false }),
    )
}

/// What one look at a pod's containers is made with.
pub(super) struct Look<'a> {
    pub(super) pod: &'a Arc<DesiredPod>,
    pub(super) have: &'a ObservedPod,
    sandbox: &'a ObservedSandbox,
    pub(super) memory: &'a PodMemory,
    pub(super) now: Timestamp,
}

/// Plans the containers of a ready sandbox.
pub(super) fn plan_containers(
    pod: &Arc<DesiredPod>,
    have: &ObservedPod,
    sandbox: &ObservedSandbox,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    let look = Look {
        pod,
        have,
        sandbox,
        memory,
        now,
    };
    if volumes_are_outdated(&look) {
        volumes(pod, memory, now, plan);
    }
    let spec = pod.spec();
    let main_begun = spec
        .containers
        .iter()
        .any(|c| look.current(&c.name).is_some());
    let init: Vec<Container<'_>> = all(spec).filter(|c| c.init).collect();
    let newest_init = init.iter().rposition(|c| look.current(c.name()).is_some());

    let mut blocked = None;
    for (index, container) in init.iter().enumerate() {
        let passed = main_begun || newest_init.is_some_and(|newest| index < newest);
        if !container.is_sidecar() && passed {
            continue;
        }
        if !look.bring_init(container, plan) && !main_begun {
            blocked = Some(container.name());
            break;
        }
    }
    for container in all(spec).filter(|c| !c.init) {
        if let Some(init) = blocked {
            let why = format!("waits for init container {init}");
            plan.reasons
                .push(Reason::new("PodInitializing", why).of_container(container.name()));
        } else {
            look.bring(&container, plan);
        }
    }
}

/// Content of running containers' volumes follows the objects they are made of.
fn volumes_are_outdated(look: &Look<'_>) -> bool {
    use crate::model::VolumeState;
    match &look.memory.volumes {
        VolumeState::Prepared { references, .. } => *references != look.pod.references,
        VolumeState::Unknown => *look.pod.references != crate::model::References::default(),
        // Tried again for as long as it is wanted, as the room on a full disk comes by itself.
        VolumeState::Failed(_) => true,
    }
}

impl Look<'_> {
    /// The newest container of a name in the ready sandbox; those of dead sandboxes do not count.
    fn current(&self, name: &str) -> Option<&ObservedContainer> {
        self.have
            .newest(name)
            .filter(|container| container.sandbox == self.sandbox.id)
    }

    /// Brings an init container as far as it goes now; true when the next one may follow.
    fn bring_init(&self, container: &Container<'_>, plan: &mut PodPlan) -> bool {
        let state = self.current(container.name()).map(|c| &c.state);
        if !container.is_sidecar()
            && matches!(state, Some(ContainerState::Exited { exit_code: 0, .. }))
        {
            return true;
        }
        let runs = self.bring(container, plan);
        container.is_sidecar() && runs
    }

    /// Plans what a container needs next; true when it has started.
    fn bring(&self, container: &Container<'_>, plan: &mut PodPlan) -> bool {
        let Some(newest) = self.current(container.name()) else {
            self.create(container, 0, plan);
            return false;
        };
        let renewal = self.renewal(newest);
        match &newest.state {
            ContainerState::Running { .. } if renewal.is_some_and(|renewal| renewal.restart) => {
                self.renew(container, newest, plan);
            }
            ContainerState::Running { .. } => {
                if renewal.is_some_and(|renewal| renewal.resize) {
                    self.resize(container, newest, plan);
                }
                return self.look_after(container, newest, plan);
            }
            ContainerState::Exited { .. } if renewal.is_some_and(|renewal| renewal.restart) => {
                self.create(container, 0, plan);
            }
            ContainerState::Created => self.start(container, newest, plan),
            ContainerState::Unknown => plan.actions.push(stop_lost(newest)),
            ContainerState::Exited { exit_code, .. } => {
                if container.restarts_after(*exit_code) {
                    self.restart(container, newest, &self.pod.back_off, plan);
                }
            }
        }
        false
    }

    /// What an update in place asks of a container that was made before it.
    fn renewal(&self, newest: &ObservedContainer) -> Option<Renewal> {
        let renewal = self.pod.record.renewals.get(&newest.name).copied();
        renewal.filter(|renewal| newest.attempt <= renewal.upto)
    }

    /// Stops a container that is made anew, once the image of the next one is there.
    fn renew(&self, container: &Container<'_>, running: &ObservedContainer, plan: &mut PodPlan) {
        if images::image(self.pod, container, self.memory, self.now, plan).is_some() {
            let grace = end::grace_period(Some(self.pod), running);
            hooks::kill(self, running, grace, StopKind::Stop, plan);
        }
    }

    /// Changes a running container's resources, once in a life of the worker.
    fn resize(&self, container: &Container<'_>, running: &ObservedContainer, plan: &mut PodPlan) {
        let known = self.memory.instances.get(&running.id);
        if known.is_some_and(|known| known.resized) || self.fails_still(container.name(), plan) {
            return;
        }
        plan.actions.push(Action::UpdateResources {
            pod: Arc::clone(self.pod),
            id: running.id.clone(),
            container: running.name.clone(),
        });
    }

    /// A running container: its hook first, then what its probes say; true when it has started.
    fn look_after(
        &self,
        container: &Container<'_>,
        running: &ObservedContainer,
        plan: &mut PodPlan,
    ) -> bool {
        hooks::plan_post_start(self, container, running, plan)
            && hooks::plan_unhealthy(self, container, running, plan)
            && probes::has_started(container, running, self.memory)
    }

    /// When the attempt before this one ended.
    fn exit_before(&self, exited: &ObservedContainer) -> Option<Timestamp> {
        let before = self.have.containers.iter().filter(|container| {
            container.name == exited.name && container.attempt < exited.attempt
        });
        match before.max_by_key(|container| container.attempt)?.state {
            ContainerState::Exited { finished_at, .. } => Some(finished_at),
            _ => None,
        }
    }

    fn restart(
        &self,
        container: &Container<'_>,
        exited: &ObservedContainer,
        back_off: &BackOff,
        plan: &mut PodPlan,
    ) {
        let unhealthy = self.memory.instances.get(&exited.id);
        let restart = if unhealthy.is_some_and(|instance| instance.unhealthy) {
            backoff::restart_after_probe(exited, self.exit_before(exited), back_off)
        } else {
            backoff::restart_after(exited, back_off)
        };
        let Some(restart) = restart else { return };
        if wait_until(restart.at, self.now, plan) {
            let message = format!(
                "back-off {} restarting failed container={} pod={}",
                in_words(restart.delay),
                container.name(),
                self.pod.key(),
            );
            let reason = Reason::new("CrashLoopBackOff", message).of_container(container.name());
            plan.reasons.push(reason.retried_at(restart.at));
        } else {
            self.create(container, restart.level, plan);
        }
    }

    /// Everything a new attempt needs, up to the call that makes it.
    fn create(&self, container: &Container<'_>, backoff_level: u32, plan: &mut PodPlan) {
        if self.fails_still(container.name(), plan) {
            return;
        }
        let Some(paths) = volumes(self.pod, self.memory, self.now, plan) else {
            return;
        };
        let mounted = images::volumes(self.pod, container, self.memory, self.now, plan);
        let image = images::image(self.pod, container, self.memory, self.now, plan);
        let (true, Some(image)) = (mounted, image) else {
            return;
        };
        let before = self.have.newest(container.name()).map(|c| c.attempt);
        plan.actions.push(Action::CreateContainer {
            pod: Arc::clone(self.pod),
            sandbox: self.sandbox.id.clone(),
            sandbox_attempt: self.sandbox.attempt,
            ips: self.sandbox.ips.clone(),
            container: ContainerName::new(container.name()),
            attempt: before.map_or(0, |attempt| attempt.saturating_add(1)),
            backoff_level,
            image: Box::new(image),
            volumes: paths,
        });
        let reason = Reason::new("ContainerCreating", "the container is being made");
        plan.reasons.push(reason.of_container(container.name()));
    }

    fn start(&self, container: &Container<'_>, created: &ObservedContainer, plan: &mut PodPlan) {
        if !self.fails_still(container.name(), plan) {
            let container = ContainerName::new(container.name());
            plan.actions.push(Action::StartContainer {
                id: created.id.clone(),
                container,
            });
        }
    }

    /// Whether an earlier failure of this container still has to be waited out.
    fn fails_still(&self, name: &str, plan: &mut PodPlan) -> bool {
        let Some(failure) = self
            .memory
            .containers
            .get(name)
            .and_then(|c| c.failure.as_ref())
        else {
            return false;
        };
        let at = backoff::retry_at(failure, backoff::CALL);
        plan.reasons
            .push(failure.reason.clone().of_container(name).retried_at(at));
        wait_until(at, self.now, plan)
    }
}

/// kubelet stops a container the runtime lost track of before it starts another.
fn stop_lost(container: &ObservedContainer) -> Action {
    let target = StopTarget {
        id: container.id.clone(),
        name: container.name.clone(),
        timeout: Duration::from_secs(2),
        hook: None,
        kind: StopKind::Stop,
    };
    Action::StopContainers {
        targets: vec![target],
    }
}

/// A wait as Go prints it: `10s`, `1m20s`, `5m0s`.
fn in_words(delay: Duration) -> String {
    match delay.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}
