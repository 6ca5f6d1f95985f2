//! What is left of a sandbox that died, and cannot be taken away.

use super::{at, exited, have_container, observed, pod, ready_memory, running, sandbox};
use crate::model::{Failure, Goal, ObservedPod, PodMemory, Reason, SandboxState};
use crate::plan::plan_pod;

/// What is done after so many failures, the last of them at 0.
fn after(failures: u32, have: &ObservedPod, now: i64) -> Vec<String> {
    let memory = PodMemory {
        teardown: Some(Failure {
            reason: Reason::new("KillPodSandboxError", "no note of it"),
            times: failures,
            last: at(0),
        }),
        ..ready_memory(&["c"])
    };
    let plan = plan_pod(
        Some(&pod(Goal::Run, &[], &["c"])),
        Some(have),
        &memory,
        at(now),
    );
    plan.actions.iter().map(ToString::to_string).collect()
}

#[test]
fn a_dead_sandbox_that_cannot_be_stopped_is_given_up_in_the_end() {
    let none: [&str; 0] = [];
    let dead = || vec![sandbox(0, SandboxState::NotReady)];
    let have = observed(dead(), vec![have_container("c", 0, exited(1, 2, 1))]);
    assert_eq!(after(1, &have, 0), none, "it is tried again first");
    assert_eq!(after(1, &have, 1)[0], "stop sandbox s0");
    assert_eq!(after(3, &have, 0), ["run sandbox, attempt 1"]);
    // Never beside something that runs.
    let runs = observed(dead(), vec![have_container("c", 0, running())]);
    assert_eq!(after(3, &runs, 0), none);
}

#[test]
fn a_new_sandbox_has_its_containers_whatever_is_left_of_the_old() {
    let sandboxes = vec![
        sandbox(1, SandboxState::Ready),
        sandbox(0, SandboxState::NotReady),
    ];
    let have = observed(sandboxes, vec![have_container("c", 0, exited(1, 2, 1))]);
    assert_eq!(after(3, &have, 0), ["create container c, attempt 1"]);
}
