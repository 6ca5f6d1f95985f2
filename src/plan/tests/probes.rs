//! What hooks and probes make of a plan.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler,
    Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{at, exited, have_container, observed, pod, ready_memory, running, sandbox};
use crate::api::ContainerName;
use crate::model::{
    Action, Check, ContainerId, DesiredPod, Goal, InstanceMemory, ObservedContainer, ObservedPod,
    Outcome, PodMemory, PodPlan, PostStart, ProbeFailure, ProbeKind, ProbeResults, ProbeTarget,
    ProbeTiming, Reason, SandboxState, StopKind, StopTarget,
};
use crate::plan::{plan_pod, plan_probes, remember};

fn actions(plan: &PodPlan) -> Vec<String> {
    plan.actions.iter().map(ToString::to_string).collect()
}

fn one(containers: Vec<ObservedContainer>) -> ObservedPod {
    let mut ready = sandbox(0, SandboxState::Ready);
    ready.ips = vec!["10.0.0.5".into()];
    observed(vec![ready], containers)
}

/// The pod with one of its containers, init or main, changed.
fn with(
    mut want: Arc<DesiredPod>,
    name: &str,
    change: impl FnOnce(&mut Container),
) -> Arc<DesiredPod> {
    let record = Arc::make_mut(&mut Arc::make_mut(&mut want).record);
    let spec = record.pod.spec.as_mut().expect("a specification");
    let init = spec.init_containers.iter_mut().flatten();
    let mut all = init.chain(&mut spec.containers);
    change(all.find(|c| c.name == name).expect("the container"));
    want
}

fn exec(word: &str) -> Option<ExecAction> {
    Some(ExecAction {
        command: Some(vec![word.to_owned()]),
    })
}

fn hook(word: &str) -> Option<LifecycleHandler> {
    Some(LifecycleHandler {
        exec: exec(word),
        ..LifecycleHandler::default()
    })
}

fn pre_stop(container: &mut Container) {
    container.lifecycle = Some(Lifecycle {
        pre_stop: hook("bye"),
        ..Lifecycle::default()
    });
}

fn probe() -> Option<Probe> {
    Some(Probe {
        exec: exec("well"),
        ..Probe::default()
    })
}

fn memory(id: &str, instance: InstanceMemory) -> PodMemory {
    let mut memory = ready_memory(&["i", "s", "c"]);
    memory.instances.insert(ContainerId(id.into()), instance);
    memory
}

fn probed(id: &str, results: ProbeResults) -> PodMemory {
    let mut memory = ready_memory(&["i", "s", "c"]);
    memory.probes = Arc::new([(ContainerId(id.into()), results)].into());
    memory
}

fn failed(kind: ProbeKind) -> ProbeResults {
    ProbeResults {
        failed: Some(ProbeFailure {
            kind,
            message: "no".into(),
        }),
        ..ProbeResults::default()
    }
}

#[test]
fn a_post_start_hook_comes_before_what_follows_the_container() {
    let want = with(pod(Goal::Run, &[], &["c", "d"]), "c", |c| {
        c.lifecycle = Some(Lifecycle {
            post_start: hook("hello"),
            ..Lifecycle::default()
        });
    });
    let have = one(vec![have_container("c", 0, running())]);
    let mut memory = ready_memory(&["c", "d"]);
    let plan = plan_pod(Some(&want), Some(&have), &memory, at(1));
    assert_eq!(
        actions(&plan),
        ["run postStart hook of c", "create container d, attempt 0"]
    );
    assert_eq!(
        plan.reasons[0],
        Reason::new("ContainerCreating", "the postStart hook is being run").of_container("c")
    );
    assert!(plan_probes(&want, Some(&have), &memory).is_empty());

    remember(&mut memory, &plan.actions[0], Outcome::Done, at(2));
    let plan = plan_pod(Some(&want), Some(&have), &memory, at(2));
    assert_eq!(actions(&plan), ["create container d, attempt 0"]);
}

#[test]
fn a_failed_post_start_hook_ends_the_container_which_is_restarted_with_back_off() {
    let want = with(pod(Goal::Run, &[], &["c"]), "c", |c| {
        c.lifecycle = Some(Lifecycle {
            post_start: hook("hello"),
            pre_stop: hook("bye"),
            ..Lifecycle::default()
        });
    });
    let have = one(vec![have_container("c", 1, running())]);
    let mut memory = ready_memory(&["c"]);
    let hook = plan_pod(Some(&want), Some(&have), &memory, at(1)).actions;
    let reason = Reason::new("PostStartHookError", "no");
    let failed = Outcome::Failed(reason.clone());
    remember(&mut memory, &hook[0], failed, at(1));
    let plan = plan_pod(Some(&want), Some(&have), &memory, at(1));
    let target = StopTarget {
        id: ContainerId("c-1".into()),
        name: ContainerName::new("c"),
        timeout: Duration::from_secs(30),
        hook: Some(Check::Exec {
            command: vec!["bye".into()],
        }),
        kind: StopKind::Stop,
    };
    let stop = Action::StopContainers {
        targets: vec![target],
    };
    let expected = PodPlan {
        actions: vec![stop],
        reasons: vec![reason.of_container("c")],
        ..PodPlan::default()
    };
    assert_eq!(plan, expected);

    let have = one(vec![have_container("c", 1, exited(0, 5, 0))]);
    let plan = plan_pod(Some(&want), Some(&have), &memory, at(6));
    assert_eq!(plan.wake_at, Some(at(15)));
}

#[test]
fn a_failed_probe_stops_the_container_with_the_probes_own_grace() {
    let want = with(pod(Goal::Run, &[], &["c"]), "c", |c| {
        c.startup_probe = probe();
        c.liveness_probe = Some(Probe {
            termination_grace_period_seconds: Some(3),
            ..probe().unwrap_or_default()
        });
    });
    let have = one(vec![have_container("c", 0, running())]);
    let next = |kind| {
        let memory = probed("c-0", failed(kind));
        plan_pod(Some(&want), Some(&have), &memory, at(1))
    };
    assert_eq!(actions(&next(ProbeKind::Liveness)), ["stop c (3 s)"]);
    assert_eq!(actions(&next(ProbeKind::Startup)), ["stop c (30 s)"]);
    let reason = Reason::new("Unhealthy", "Liveness probe failed: no").of_container("c");
    assert_eq!(next(ProbeKind::Liveness).reasons, [reason]);

    // What another container's probe said is nothing to this one.
    let memory = probed("c-9", failed(ProbeKind::Liveness));
    let plan = plan_pod(Some(&want), Some(&have), &memory, at(1));
    assert_eq!(plan, PodPlan::default());
}

#[test]
fn the_restart_after_a_probe_waits_from_the_exit_before() {
    let want = pod(Goal::Run, &[], &["c"]);
    let unhealthy = || InstanceMemory {
        unhealthy: true,
        ..InstanceMemory::default()
    };
    let next = |containers, id, now| {
        let memory = memory(id, unhealthy());
        plan_pod(Some(&want), Some(&one(containers)), &memory, at(now))
    };
    let level = |plan: &PodPlan| match plan.actions.as_slice() {
        [Action::CreateContainer { backoff_level, .. }] => *backoff_level,
        other => panic!("{other:?}"),
    };
    let first = vec![have_container("c", 0, exited(0, 20, 137))];
    assert_eq!(level(&next(first, "c-0", 20)), 0);
    // Level 2 waits 20 s, and the exit before is 21 s ago: at once.
    let long_ago = vec![
        have_container("c", 2, exited(6, 21, 137)),
        have_container("c", 1, exited(0, 0, 137)),
    ];
    assert_eq!(level(&next(long_ago, "c-2", 21)), 3);
    let just_now = vec![
        have_container("c", 2, exited(6, 21, 137)),
        have_container("c", 1, exited(0, 5, 137)),
    ];
    let waits = next(just_now, "c-2", 21);
    assert!(waits.actions.is_empty());
    assert_eq!(waits.wake_at, Some(at(41)));
}

#[test]
fn what_follows_a_sidecar_waits_for_its_startup_probe() {
    let shape: &[(&str, Option<&str>)] = &[("s", Some("Always")), ("i", None)];
    let want = with(pod(Goal::Run, shape, &["c"]), "s", |s| {
        s.startup_probe = probe();
    });
    let have = one(vec![have_container("s", 0, running())]);
    let next = |startup| {
        let results = ProbeResults {
            startup,
            ..ProbeResults::default()
        };
        actions(&plan_pod(
            Some(&want),
            Some(&have),
            &probed("s-0", results),
            at(1),
        ))
    };
    assert!(next(None).is_empty());
    assert_eq!(next(Some(true)), ["create container i, attempt 0"]);
}

#[test]
fn pre_stop_hooks_come_off_the_grace_and_sidecars_run_theirs_at_once() {
    let shape: &[(&str, Option<&str>)] = &[("s1", Some("Always")), ("s2", Some("Always"))];
    let want = with(pod(Goal::End, shape, &["a", "b"]), "s1", pre_stop);
    let want = with(want, "a", pre_stop);
    let have = |names: &[&str]| {
        let containers = names.iter().map(|name| have_container(name, 0, running()));
        one(containers.collect())
    };
    let mut memory = PodMemory::default();
    let all = have(&["s1", "s2", "a", "b"]);
    let plan = plan_pod(Some(&want), Some(&all), &memory, at(0));
    assert_eq!(
        actions(&plan),
        ["stop s1 (hook only, 30 s) a (hook, 30 s) b (30 s)"]
    );
    // Of no main container: the sidecar whose turn it is, and the hooks of the others.
    let plan_without = plan_pod(Some(&want), Some(&have(&["s1", "s2"])), &memory, at(10));
    assert_eq!(
        actions(&plan_without),
        ["stop s1 (hook only, 20 s) s2 (20 s)"]
    );
    // A stop that failed is repeated, its hooks are not.
    let failed = Outcome::Failed(Reason::new("KillContainerError", "no"));
    remember(&mut memory, &plan.actions[0], failed, at(4));
    let plan = plan_pod(Some(&want), Some(&all), &memory, at(5));
    assert_eq!(actions(&plan), ["stop a (25 s) b (25 s)"]);
    let plan = plan_pod(Some(&want), Some(&have(&["s1"])), &memory, at(12));
    assert_eq!(actions(&plan), ["stop s1 (18 s)"]);

    // Without time there is no hook.
    let late = plan_pod(Some(&want), Some(&all), &PodMemory::default(), at(31));
    assert_eq!(actions(&late), ["stop a (2 s) b (2 s)"]);
}

/// A pod whose container has a probe of each kind that has something to resolve.
fn with_references() -> Arc<DesiredPod> {
    with(pod(Goal::Run, &[], &["c"]), "c", |c| {
        c.ports = Some(vec![ContainerPort {
            name: Some("web".into()),
            container_port: 8080,
            ..ContainerPort::default()
        }]);
        c.env = Some(vec![EnvVar {
            name: "A".into(),
            value: Some("x".into()),
            ..EnvVar::default()
        }]);
        c.startup_probe = Some(Probe {
            exec: Some(ExecAction {
                command: Some(vec!["echo".into(), "$(A)".into(), "$$(A)$(B)".into()]),
            }),
            period_seconds: Some(3),
            ..Probe::default()
        });
        c.liveness_probe = Some(Probe {
            http_get: Some(HTTPGetAction {
                port: IntOrString::String("web".into()),
                scheme: Some("HTTPS".into()),
                ..HTTPGetAction::default()
            }),
            ..Probe::default()
        });
        c.readiness_probe = Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::String("none".into()),
                host: None,
            }),
            ..Probe::default()
        });
    })
}

#[test]
fn probes_are_resolved() {
    let want = with_references();
    let have = one(vec![have_container("c", 0, running())]);
    let target = |kind, period, check| ProbeTarget {
        id: ContainerId("c-0".into()),
        container: ContainerName::new("c"),
        started_at: at(0),
        kind,
        check,
        timing: ProbeTiming {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(period),
            timeout: Duration::from_secs(1),
            successes: 1,
            failures: 3,
        },
    };
    let command = ["echo", "x", "$(A)$(B)"].map(str::to_owned).to_vec();
    let startup = target(ProbeKind::Startup, 3, Check::Exec { command });
    let http = Check::Http {
        host: Some("10.0.0.5".into()),
        port: 8080,
        path: String::new(),
        tls: true,
        headers: Vec::new(),
    };
    let liveness = target(ProbeKind::Liveness, 10, http);
    let why = "couldn't find port: \"none\"".to_owned();
    let readiness = target(ProbeKind::Readiness, 10, Check::Invalid { why });
    let memory = PodMemory::default();
    assert_eq!(
        plan_probes(&want, Some(&have), &memory),
        [startup, liveness, readiness.clone()]
    );

    // While the pod ends only readiness is asked.
    let mut ending = DesiredPod::clone(&want);
    ending.goal = Goal::End;
    assert_eq!(plan_probes(&ending, Some(&have), &memory), [readiness]);
}

#[test]
fn a_tcp_hook_fails_and_a_sleep_is_waited_for() {
    let post_start = |handler| {
        let want = with(pod(Goal::Run, &[], &["c"]), "c", |c| {
            c.lifecycle = Some(Lifecycle {
                post_start: Some(handler),
                ..Lifecycle::default()
            });
        });
        let have = one(vec![have_container("c", 0, running())]);
        match plan_pod(Some(&want), Some(&have), &PodMemory::default(), at(1))
            .actions
            .remove(0)
        {
            Action::RunPostStart { hook, .. } => hook,
            other => panic!("{other:?}"),
        }
    };
    let tcp = LifecycleHandler {
        tcp_socket: Some(TCPSocketAction::default()),
        ..LifecycleHandler::default()
    };
    assert!(matches!(post_start(tcp), Check::Invalid { .. }));
    let sleep = LifecycleHandler {
        sleep: Some(SleepAction { seconds: 3 }),
        ..LifecycleHandler::default()
    };
    let time = Duration::from_secs(3);
    assert_eq!(post_start(sleep), Check::Sleep { time });
    let done = InstanceMemory {
        post_start: PostStart::Done,
        ..InstanceMemory::default()
    };
    assert_eq!(memory("c-0", done).instances.len(), 1);
}
