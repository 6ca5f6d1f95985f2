//! One pod's plan in the states that matter, as lists of actions.

use std::sync::Arc;

use super::{at, exited, have_container, observed, pod, present, ready_memory, running, sandbox};
use crate::model::{
    Action, ContainerId, ContainerState, DesiredPod, Failure, Goal, ImageState, ObservedPod,
    Outcome, PodMemory, PodPlan, Reason, SandboxState, Term,
};
use crate::plan::{plan_pod, remember, take_over};

fn actions(plan: &PodPlan) -> Vec<String> {
    plan.actions.iter().map(ToString::to_string).collect()
}

fn one(containers: Vec<crate::model::ObservedContainer>) -> ObservedPod {
    observed(vec![sandbox(0, SandboxState::Ready)], containers)
}

#[test]
fn a_new_pod_gets_volumes_then_sandbox_then_image_then_container() {
    let want = pod(Goal::Run, &[], &["c"]);
    let mut memory = PodMemory::default();
    let first = plan_pod(Some(&want), None, &memory, at(0));
    assert_eq!(actions(&first), ["prepare volumes"]);

    memory.volumes = ready_memory(&[]).volumes;
    let second = plan_pod(Some(&want), None, &memory, at(0));
    assert_eq!(actions(&second), ["run sandbox, attempt 0"]);

    let third = plan_pod(Some(&want), Some(&one(Vec::new())), &memory, at(0));
    assert_eq!(actions(&third), ["ensure image c:1 (IfNotPresent)"]);

    let fourth = plan_pod(
        Some(&want),
        Some(&one(Vec::new())),
        &ready_memory(&["c"]),
        at(0),
    );
    assert_eq!(actions(&fourth), ["create container c, attempt 0"]);

    let created = one(vec![have_container("c", 0, ContainerState::Created)]);
    let fifth = plan_pod(Some(&want), Some(&created), &memory, at(0));
    assert_eq!(actions(&fifth), ["start container c"]);

    let runs = one(vec![have_container("c", 0, running())]);
    let settled = plan_pod(Some(&want), Some(&runs), &memory, at(0));
    assert_eq!(settled, PodPlan::default());
}

#[test]
fn staging_touches_no_sandbox() {
    let want = pod(Goal::Stage, &[("i", None)], &["c"]);
    let first = plan_pod(Some(&want), None, &PodMemory::default(), at(0));
    assert_eq!(
        actions(&first),
        [
            "prepare volumes",
            "ensure image i:1 (IfNotPresent)",
            "ensure image c:1 (IfNotPresent)"
        ]
    );
    assert!(!first.staged);
    let staged = plan_pod(Some(&want), None, &ready_memory(&["i", "c"]), at(0));
    assert_eq!(
        staged,
        PodPlan {
            staged: true,
            ..PodPlan::default()
        }
    );
}

#[test]
fn preparing_makes_a_sandbox_and_no_container() {
    let want = pod(Goal::Prepare, &[], &["c"]);
    let unready = plan_pod(Some(&want), None, &PodMemory::default(), at(0));
    assert_eq!(actions(&unready)[0], "prepare volumes");
    let memory = ready_memory(&["c"]);
    let plan = plan_pod(Some(&want), None, &memory, at(0));
    assert_eq!(actions(&plan), ["run sandbox, attempt 0"]);
    let plan = plan_pod(Some(&want), Some(&one(vec![])), &memory, at(0));
    assert!(plan.actions.is_empty() && plan.staged, "{plan:?}");
}

#[test]
fn what_is_held_is_not_started_but_goes_on_where_it_runs() {
    let mut want = pod(Goal::Run, &[], &["c"]);
    let reason = Reason::new("Unsupported", "x");
    std::sync::Arc::make_mut(&mut want)
        .held
        .push(reason.clone());
    let plan = plan_pod(Some(&want), None, &PodMemory::default(), at(0));
    assert_eq!(
        plan,
        PodPlan {
            reasons: vec![reason],
            ..PodPlan::default()
        }
    );

    let crashed = one(vec![have_container("c", 0, exited(0, 5, 1))]);
    let plan = plan_pod(Some(&want), Some(&crashed), &ready_memory(&["c"]), at(5));
    assert_eq!(actions(&plan), ["create container c, attempt 1"]);
}

#[test]
fn a_crash_waits_until_its_back_off_is_over() {
    let want = pod(Goal::Run, &[], &["c"]);
    let have = one(vec![have_container("c", 1, exited(0, 5, 1))]);
    let plan = plan_pod(Some(&want), Some(&have), &ready_memory(&["c"]), at(6));
    assert_eq!(plan.wake_at, Some(at(15)));
    let message = "back-off 10s restarting failed container=c pod=default/a-bbbbb";
    let reason = Reason::new("CrashLoopBackOff", message)
        .of_container("c")
        .retried_at(at(15));
    assert_eq!(plan.reasons, [reason]);
    assert!(plan.actions.is_empty());
    let due = plan_pod(Some(&want), Some(&have), &ready_memory(&["c"]), at(15));
    assert_eq!(actions(&due), ["create container c, attempt 2"]);
}

#[test]
fn init_containers_come_one_by_one_and_sidecars_only_have_to_run() {
    let want = pod(Goal::Run, &[("i", None), ("s", Some("Always"))], &["c"]);
    let memory = ready_memory(&["i", "s", "c"]);
    let next = |containers: Vec<_>| {
        actions(&plan_pod(
            Some(&want),
            Some(&one(containers)),
            &memory,
            at(1),
        ))
    };
    let done = have_container("i", 0, exited(0, 1, 0));
    let side = have_container("s", 0, running());
    assert_eq!(next(vec![]), ["create container i, attempt 0"]);
    assert!(next(vec![have_container("i", 0, running())]).is_empty());
    assert_eq!(
        next(vec![have_container("i", 0, exited(0, 1, 1))]),
        ["create container i, attempt 1"]
    );
    assert_eq!(next(vec![done.clone()]), ["create container s, attempt 0"]);
    assert_eq!(
        next(vec![done, side.clone()]),
        ["create container c, attempt 0"]
    );
    // The finished init container was collected; it is not run again.
    assert_eq!(
        next(vec![side.clone(), have_container("c", 0, exited(0, 1, 1))]),
        ["create container c, attempt 1"]
    );
    assert_eq!(
        next(vec![
            have_container("s", 0, exited(0, 1, 1)),
            have_container("c", 0, running())
        ]),
        ["create container s, attempt 1"]
    );
}

#[test]
fn a_dead_sandbox_is_stopped_and_made_anew_with_everything_in_it() {
    let want = pod(Goal::Run, &[], &["c"]);
    let mut memory = ready_memory(&["c"]);
    let dead = vec![sandbox(0, SandboxState::NotReady)];
    let have = observed(dead.clone(), vec![have_container("c", 3, running())]);
    let first = plan_pod(Some(&want), Some(&have), &memory, at(9));
    assert_eq!(actions(&first), ["stop c (30 s)"]);

    let have = observed(
        dead.clone(),
        vec![have_container("c", 3, exited(0, 9, 137))],
    );
    let second = plan_pod(Some(&want), Some(&have), &memory, at(9));
    assert_eq!(
        actions(&second),
        ["stop sandbox s0", "run sandbox, attempt 1"]
    );

    memory.stopped.insert(dead[0].id.clone());
    let third = plan_pod(Some(&want), Some(&have), &memory, at(9));
    assert_eq!(actions(&third), ["run sandbox, attempt 1"]);

    let both = vec![
        sandbox(1, SandboxState::Ready),
        sandbox(0, SandboxState::NotReady),
    ];
    let have = observed(both, vec![have_container("c", 3, exited(0, 9, 137))]);
    let fourth = plan_pod(Some(&want), Some(&have), &memory, at(9));
    assert_eq!(actions(&fourth), ["create container c, attempt 4"]);
}

#[test]
fn an_end_stops_main_containers_then_sidecars_with_what_is_left_of_the_grace() {
    let want = pod(
        Goal::End,
        &[("s1", Some("Always")), ("s2", Some("Always"))],
        &["a", "b"],
    );
    let side = [
        have_container("s1", 0, running()),
        have_container("s2", 0, running()),
    ];
    let mains = [
        have_container("a", 0, running()),
        have_container("b", 0, running()),
    ];
    let next = |containers: Vec<_>, now| {
        actions(&plan_pod(
            Some(&want),
            Some(&one(containers)),
            &PodMemory::default(),
            at(now),
        ))
    };
    assert_eq!(
        next([&side[..], &mains[..]].concat(), 0),
        ["stop a (30 s) b (30 s)"]
    );
    assert_eq!(next(side.to_vec(), 12), ["stop s2 (18 s)"]);
    assert_eq!(next(side[..1].to_vec(), 29), ["stop s1 (2 s)"]);
    assert_eq!(next(side.to_vec(), 31), ["stop s1 (2 s) s2 (2 s)"]);
    assert_eq!(next(vec![], 32), ["stop sandbox s0", "remove sandbox s0"]);

    let torn = plan_pod(Some(&want), None, &PodMemory::default(), at(33));
    assert_eq!(actions(&torn), ["tear down volumes and logs"]);
    let memory = PodMemory {
        torn_down: true,
        ..PodMemory::default()
    };
    assert!(plan_pod(Some(&want), None, &memory, at(33)).gone);
}

#[test]
fn a_rest_stops_what_runs_in_the_time_there_is_and_keeps_it() {
    let mut want = pod(Goal::Rest, &[("s1", Some("Always"))], &["a"]);
    let (since, until) = (at(10), at(20));
    Arc::make_mut(&mut want).term = Some(Term { since, until });
    let plan = |have: Option<&ObservedPod>, now| {
        plan_pod(Some(&want), have, &PodMemory::default(), at(now))
    };
    let both = one(vec![
        have_container("s1", 0, running()),
        have_container("a", 0, running()),
    ]);
    let stop = plan(Some(&both), 10);
    assert_eq!(
        actions(&stop),
        ["stop a (10 s)"],
        "its grace period is 30 s"
    );
    assert!(!stop.at_rest);
    let side = one(vec![
        have_container("s1", 0, running()),
        have_container("a", 0, exited(0, 15, 0)),
    ]);
    assert_eq!(actions(&plan(Some(&side), 16)), ["stop s1 (4 s)"]);
    let dead = one(vec![have_container("a", 0, exited(0, 15, 0))]);
    assert_eq!(actions(&plan(Some(&dead), 21)), ["stop sandbox s0"]);
    let left = observed(
        vec![sandbox(0, SandboxState::NotReady)],
        vec![have_container("a", 0, exited(0, 15, 0))],
    );
    let rests = plan(Some(&left), 21);
    assert!(
        rests.at_rest && rests.actions.is_empty(),
        "nothing is removed"
    );
    assert!(plan(None, 21).at_rest);
}

#[test]
fn a_failed_pull_waits_and_says_so() {
    let want = pod(Goal::Run, &[], &["c"]);
    let mut memory = ready_memory(&[]);
    let reason = Reason::new("ErrImagePull", "no such image");
    let failure = Failure {
        reason,
        times: 2,
        last: at(0),
    };
    memory
        .images
        .insert("c:1".into(), ImageState::Failed(failure));
    let plan = plan_pod(Some(&want), Some(&one(vec![])), &memory, at(1));
    assert_eq!(plan.wake_at, Some(at(20)));
    assert_eq!(plan.reasons[0].word, "ImagePullBackOff");
    let due = plan_pod(Some(&want), Some(&one(vec![])), &memory, at(20));
    assert_eq!(actions(&due), ["ensure image c:1 (IfNotPresent)"]);
}

/// The actions of a pod whose container runs, and the reasons it is given.
fn look(memory: &PodMemory, now: i64) -> (Vec<String>, Vec<String>, Option<jiff::Timestamp>) {
    let want = pod(Goal::Run, &[], &["c"]);
    let have = one(vec![have_container("c", 0, running())]);
    let plan = plan_pod(Some(&want), Some(&have), memory, at(now));
    let words = plan.reasons.iter().map(|r| r.word.clone()).collect();
    (actions(&plan), words, plan.wake_at)
}

#[test]
fn an_image_the_registry_was_not_asked_for_is_told_and_asked_for_again() {
    let want = pod(Goal::Run, &[], &["c"]);
    let mut memory = ready_memory(&["c"]);
    let stale = |why: Option<&str>| ImageState::Present {
        image_ref: "sha256:1".into(),
        uid: None,
        username: String::new(),
        at: at(0),
        stale: why.map(|why| Reason::new("ErrImagePull", why)),
        pulled: None,
    };
    memory.images.insert("c:1".into(), stale(Some("refused")));
    let plan = plan_pod(Some(&want), Some(&one(vec![])), &memory, at(0));
    let made = Outcome::Created(ContainerId("c-0".into()));
    remember(&mut memory, &plan.actions[0], made, at(0));
    let none: [&str; 0] = [];
    let told = (Vec::new(), vec!["ImageStale".to_owned()], Some(at(10)));
    assert_eq!(look(&memory, 1), told);

    // The container says it to the next worker.
    let (mut running, mut next) = (have_container("c", 0, running()), ready_memory(&["c"]));
    running.image_stale = Some("refused".into());
    take_over(&mut next, &want, &one(vec![running]));
    assert_eq!(look(&next, 1).1, told.1);

    let again = Action::RecheckImage {
        pod: Arc::clone(&want),
        image: "c:1".into(),
    };
    assert_eq!(look(&memory, 10).0, [again.to_string()]);
    let pulling = ImageState::Pulling {
        since: at(10),
        progress: crate::model::PullProgress::default(),
    };
    remember(&mut memory, &again, Outcome::Image(pulling), at(10));
    assert_eq!(look(&memory, 11).0, none);
    // Still away: the next wait is twice as long.
    remember(
        &mut memory,
        &again,
        Outcome::Image(stale(Some("refused"))),
        at(11),
    );
    assert_eq!(look(&memory, 12).2, Some(at(31)));
    // It answers: nothing is left to say or do, and a next container asks for itself.
    remember(&mut memory, &again, Outcome::Image(stale(None)), at(31));
    assert_eq!(look(&memory, 31), (Vec::new(), Vec::new(), None));
    assert!(memory.images.is_empty());
}

#[test]
fn mounted_images_are_made_sure_of_before_the_container() {
    let spec = serde_json::json!({
        "containers": [{"name": "c", "image": "c:1",
            "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "image": {"reference": "data:2", "pullPolicy": "Always"}}],
    });
    let mut want = DesiredPod::of_test(spec, &[]);
    let mut memory = ready_memory(&["c"]);
    let run = Arc::new(want.clone());
    let plan = plan_pod(Some(&run), Some(&one(vec![])), &memory, at(0));
    assert_eq!(actions(&plan), ["ensure image data:2 (Always)"]);
    want.goal = Goal::Stage;
    let plan = plan_pod(Some(&Arc::new(want)), None, &memory, at(0));
    assert_eq!(actions(&plan), ["ensure image data:2 (Always)"]);
    assert!(!plan.staged);
    memory.images.insert("data:2".into(), present());
    let plan = plan_pod(Some(&run), Some(&one(vec![])), &memory, at(0));
    assert_eq!(actions(&plan), ["create container c, attempt 0"]);
}

#[test]
fn only_the_newest_dead_attempt_is_kept() {
    let want = pod(Goal::Run, &[], &["c"]);
    let dead = |attempt| have_container("c", attempt, exited(0, 1, 1));
    let have = one(vec![
        dead(0),
        dead(1),
        dead(2),
        have_container("c", 3, running()),
    ]);
    let plan = plan_pod(Some(&want), Some(&have), &ready_memory(&["c"]), at(2));
    assert_eq!(
        actions(&plan),
        ["remove container c c-1", "remove container c c-0"]
    );
}

#[test]
fn an_evicted_pod_is_given_a_second() {
    let mut want = pod(Goal::End, &[], &["a"]);
    let record = Arc::make_mut(&mut Arc::make_mut(&mut want).record);
    record.evicted = Some(Reason::new("Evicted", "too much"));
    let have = one(vec![have_container("a", 0, running())]);
    let plan = plan_pod(Some(&want), Some(&have), &PodMemory::default(), at(0));
    // A stop is never given less than two.
    assert_eq!(actions(&plan), ["stop a (2 s)"]);
}
