//! What is left of a sandbox that died, and cannot be taken away.

use super::{at, exited, have_container, observed, pod, ready_memory, running, sandbox};
use crate::model::{
    Action, Goal, ObservedPod, Outcome, PodMemory, Reason, SandboxId, SandboxState,
};
use crate::plan::{plan_pod, remember};

/// What is remembered after so many failures to stop the first sandbox, the last of them at 0.
fn failed(times: u32) -> PodMemory {
    let mut memory = ready_memory(&["c"]);
    let stop = Action::StopSandbox {
        id: SandboxId("s0".into()),
    };
    for _ in 0..times {
        let reason = Reason::new("KillPodSandboxError", "no note of it");
        remember(&mut memory, &stop, Outcome::Failed(reason), at(0));
    }
    memory
}

fn planned(memory: &PodMemory, have: &ObservedPod, now: i64) -> Vec<String> {
    let want = pod(Goal::Run, &[], &["c"]);
    let plan = plan_pod(Some(&want), Some(have), memory, at(now));
    plan.actions.iter().map(ToString::to_string).collect()
}

#[test]
fn a_dead_sandbox_that_cannot_be_stopped_is_given_up_in_the_end() {
    let none: [&str; 0] = [];
    let dead = || vec![sandbox(0, SandboxState::NotReady)];
    let have = observed(dead(), vec![have_container("c", 0, exited(1, 2, 1))]);
    assert_eq!(planned(&failed(0), &have, 0)[0], "stop sandbox s0");
    assert_eq!(
        planned(&failed(2), &have, 1),
        none,
        "the next try has its time"
    );
    assert_eq!(planned(&failed(2), &have, 2)[0], "stop sandbox s0");
    assert_eq!(planned(&failed(3), &have, 0), ["run sandbox, attempt 1"]);
    // Never beside something that runs.
    let runs = observed(dead(), vec![have_container("c", 0, running())]);
    assert_eq!(planned(&failed(3), &runs, 0), none);
}

#[test]
fn a_new_sandbox_has_its_containers_whatever_is_left_of_the_old() {
    let sandboxes = vec![
        sandbox(1, SandboxState::Ready),
        sandbox(0, SandboxState::NotReady),
    ];
    let have = observed(sandboxes, vec![have_container("c", 0, exited(1, 2, 1))]);
    let mut memory = failed(3);
    assert_eq!(
        planned(&memory, &have, 0),
        ["create container c, attempt 1"]
    );

    // When that one dies, it is stopped: at once, whatever was tried with the old one meanwhile.
    let both = [1, 0].map(|attempt| sandbox(attempt, SandboxState::NotReady));
    let have = observed(both.to_vec(), vec![have_container("c", 0, exited(1, 2, 1))]);
    assert_eq!(planned(&memory, &have, 0), ["stop sandbox s1"]);
    memory.stopped.insert(SandboxId("s1".into()));
    assert_eq!(planned(&memory, &have, 100), ["run sandbox, attempt 2"]);
}

#[test]
fn a_sandbox_that_never_held_anything_is_released_before_the_next() {
    let none: [&str; 0] = [];
    let dead = observed(vec![sandbox(0, SandboxState::NotReady)], Vec::new());
    assert_eq!(planned(&failed(3), &dead, 3), none);
    assert_eq!(planned(&failed(3), &dead, 4)[0], "stop sandbox s0");
    // However often that failed, about as soon as kubelet.
    assert_eq!(planned(&failed(100), &dead, 14), none);
    assert_eq!(planned(&failed(100), &dead, 15)[0], "stop sandbox s0");
}

#[test]
fn sandboxes_made_in_vain_do_not_pile_up() {
    let both = [1, 0].map(|attempt| sandbox(attempt, SandboxState::NotReady));
    let have = observed(both.to_vec(), Vec::new());
    let mut memory = ready_memory(&["c"]);
    memory.stopped = ["s0", "s1"].map(|id| SandboxId(id.into())).into();
    let then = "run sandbox, attempt 2";
    assert_eq!(planned(&memory, &have, 100), ["remove sandbox s0", then]);
    // What cannot be removed keeps nothing from being made.
    let remove = Action::RemoveSandbox {
        id: SandboxId("s0".into()),
        ends: None,
    };
    let reason = Reason::new("KillPodSandboxError", "not now");
    remember(&mut memory, &remove, Outcome::Failed(reason), at(100));
    assert_eq!(planned(&memory, &have, 100), [then]);
}
