//! Actions that are answered as done and change nothing, and ones that always fail: whatever the action,
//! the agent pauses ever longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler};

use super::{at, exited, have_container, observed, pod, present, ready_memory, running, sandbox};
use crate::model::{
    Action, ContainerId, ContainerState, DesiredPod, Goal, HostPort, ObservedPod, Outcome,
    PodMemory, Reason, Renewal, SandboxState,
};
use crate::plan::{plan_pod, remember, take_look};

/// How often something is done within ten minutes, where the runtime answers so and shows no change.
fn done_in_ten_minutes(
    want: &Arc<DesiredPod>,
    have: Option<&ObservedPod>,
    mut memory: PodMemory,
    answer: impl Fn(&Action) -> Outcome,
) -> (usize, String) {
    let (mut now, mut done, mut last) = (at(100), 0, String::new());
    while now < at(700) {
        take_look(&mut memory, have);
        let plan = plan_pod(Some(want), have, &memory, now);
        let Some(action) = plan.actions.first() else {
            let Some(wake_at) = plan.wake_at.filter(|wake_at| *wake_at > now) else {
                break;
            };
            now = wake_at;
            continue;
        };
        last = action.to_string();
        remember(&mut memory, action, answer(action), now);
        done += 1;
        assert!(done < 500, "{last} is done without a pause");
        now = now.checked_add(Duration::from_millis(5)).expect("in range");
    }
    (done, last)
}

fn says_done(action: &Action) -> Outcome {
    match action {
        Action::PrepareVolumes { .. } => Outcome::Volumes(Arc::new(BTreeMap::new())),
        Action::EnsureImage { .. } | Action::RecheckImage { .. } => Outcome::Image(present()),
        Action::CreateContainer { .. } => Outcome::Created(ContainerId("new".into())),
        Action::StopContainers { .. } => Outcome::Stopped(Vec::new()),
        _ => Outcome::Done,
    }
}

fn fails(_: &Action) -> Outcome {
    Outcome::Failed(Reason::new("Injected", "it fails"))
}

/// The action that comes next, and what it comes from.
type Scene = (
    &'static str,
    Arc<DesiredPod>,
    Option<ObservedPod>,
    PodMemory,
);

/// A staged pod with a host port.
fn with_port() -> Arc<DesiredPod> {
    let mut ports = pod(Goal::Stage, &[], &["a"]);
    Arc::make_mut(&mut ports).ports = vec![HostPort {
        port: 80,
        protocol: "TCP".into(),
        ip: String::new(),
    }];
    ports
}

/// A pod that was changed in place: the resources of its container.
fn resized() -> Arc<DesiredPod> {
    let mut resized = pod(Goal::Run, &[], &["a"]);
    let renewals = &mut Arc::make_mut(&mut Arc::make_mut(&mut resized).record).renewals;
    let renewal = Renewal {
        upto: 0,
        restart: false,
        resize: true,
    };
    renewals.insert(have_container("a", 0, running()).name, renewal);
    resized
}

/// A pod with a `postStart` hook.
fn hooked() -> Arc<DesiredPod> {
    let mut hooked = pod(Goal::Run, &[], &["a"]);
    let record = Arc::make_mut(&mut Arc::make_mut(&mut hooked).record);
    let spec = record.pod.spec.as_mut().expect("a specification");
    spec.containers[0].lifecycle = Some(Lifecycle {
        post_start: Some(LifecycleHandler::default()),
        ..Lifecycle::default()
    });
    hooked
}

/// A pod of each kind in which one action comes next, with that action's first word or words.
fn scenes() -> Vec<Scene> {
    let up = || vec![sandbox(0, SandboxState::Ready)];
    let of = |containers| Some(observed(up(), containers));
    let run = || pod(Goal::Run, &[], &["a"]);
    let end = || pod(Goal::End, &[], &["a"]);
    let ready = || ready_memory(&["a"]);
    let main = |attempt, state| have_container("a", attempt, state);
    let dead = Some(observed(
        vec![sandbox(0, SandboxState::NotReady)],
        Vec::new(),
    ));
    let old = vec![
        main(3, running()),
        main(2, exited(1, 2, 1)),
        main(1, exited(1, 2, 1)),
        main(0, exited(1, 2, 1)),
    ];
    vec![
        ("prepare volumes", run(), None, PodMemory::default()),
        ("ensure image", run(), of(Vec::new()), ready_memory(&[])),
        ("look for host ports", with_port(), None, ready()),
        ("run sandbox", run(), None, ready()),
        ("create container", run(), of(Vec::new()), ready()),
        (
            "start container",
            run(),
            of(vec![main(0, ContainerState::Created)]),
            ready(),
        ),
        (
            "resize container",
            resized(),
            of(vec![main(0, running())]),
            ready(),
        ),
        (
            "run postStart",
            hooked(),
            of(vec![main(0, running())]),
            ready(),
        ),
        ("stop a", end(), of(vec![main(0, running())]), ready()),
        ("remove container", run(), of(old), ready()),
        ("stop sandbox", end(), of(Vec::new()), ready()),
        ("remove sandbox", end(), dead, ready()),
        ("tear down", end(), None, ready()),
    ]
}

#[test]
fn whatever_changes_nothing_is_repeated_with_growing_pauses() {
    for (first, want, have, memory) in scenes() {
        let plan = plan_pod(Some(&want), have.as_ref(), &memory, at(100));
        let next = plan.actions.first().map(ToString::to_string);
        assert!(
            next.as_ref().is_some_and(|next| next.starts_with(first)),
            "{first}: {next:?}"
        );
        for answer in [says_done as fn(&Action) -> Outcome, fails] {
            let (done, last) = done_in_ten_minutes(&want, have.as_ref(), memory.clone(), answer);
            // Every ten seconds, the shorter waits before that, and what prepares it.
            assert!(
                done <= 200,
                "{first}: {done} in ten minutes, the last {last}"
            );
        }
    }
}

#[test]
fn what_shows_ends_the_pauses() {
    let want = pod(Goal::End, &[], &["a"]);
    let dead = observed(vec![sandbox(0, SandboxState::NotReady)], Vec::new());
    let mut memory = PodMemory::default();
    for _ in 0..3 {
        take_look(&mut memory, Some(&dead));
        let remove = Action::RemoveSandbox {
            id: dead.sandboxes[0].id.clone(),
            ends: None,
        };
        remember(&mut memory, &remove, Outcome::Done, at(100));
    }
    take_look(&mut memory, Some(&dead));
    let waits = plan_pod(Some(&want), Some(&dead), &memory, at(100));
    assert_eq!(waits.actions, []);
    assert!(waits.wake_at.is_some_and(|wake_at| wake_at > at(100)));
    take_look(&mut memory, None);
    let goes_on = plan_pod(Some(&want), None, &memory, at(100));
    assert_eq!(goes_on.actions.len(), 1, "{goes_on:?}");
}
