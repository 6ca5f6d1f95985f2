//! One set's pods through an update, a removal and a taint, each state as a whole value.

use crate::api::{Revision, Uid};
use crate::model::{Goal, Verdict};
use crate::plan::rollout::{PodFact, Replace, Rollout, end_all, leave_all, plan_rollout};

fn fact(uid: &str, revision: &str) -> PodFact {
    PodFact {
        uid: Uid::new(uid),
        revision: Revision::new(revision),
        ending: false,
        staged: false,
        started: true,
    }
}

fn goals(list: &[(&str, Goal)]) -> Vec<(Uid, Goal)> {
    list.iter()
        .map(|(uid, goal)| (Uid::new(*uid), *goal))
        .collect()
}

fn plan(replace: Replace, pods: &[PodFact]) -> Rollout {
    plan_rollout(&Verdict::Run, &Revision::new("2"), replace, pods)
}

#[test]
fn without_a_pod_one_is_made() {
    assert_eq!(
        plan(Replace::WhenStaged, &[]),
        Rollout {
            goals: Vec::new(),
            make: true
        }
    );
}

#[test]
fn an_update_is_made_staged_switched_and_run() {
    let old = fact("old", "1");
    let made = plan(Replace::WhenStaged, std::slice::from_ref(&old));
    assert_eq!(
        made,
        Rollout {
            goals: goals(&[("old", Goal::Run)]),
            make: true
        }
    );

    let mut new = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let staging = plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
    assert_eq!(
        staging.goals,
        goals(&[("old", Goal::Run), ("new", Goal::Stage)])
    );

    new.staged = true;
    let switched = plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
    assert_eq!(
        switched.goals,
        goals(&[("old", Goal::End), ("new", Goal::Stage)])
    );

    let ending = PodFact {
        ending: true,
        ..old
    };
    let waits = plan(Replace::WhenStaged, &[ending, new.clone()]);
    assert_eq!(
        waits.goals,
        goals(&[("old", Goal::End), ("new", Goal::Stage)])
    );

    let alone = plan(Replace::WhenStaged, &[new]);
    assert_eq!(
        alone,
        Rollout {
            goals: goals(&[("new", Goal::Run)]),
            make: false
        }
    );
}

#[test]
fn an_update_overtaken_by_another_goes_before_it_ran() {
    let stale = PodFact {
        started: false,
        staged: true,
        ..fact("stale", "1.5")
    };
    let plan = plan(Replace::WhenStaged, &[fact("old", "1"), stale]);
    let expected = goals(&[("old", Goal::Run), ("stale", Goal::End)]);
    assert_eq!(
        plan,
        Rollout {
            goals: expected,
            make: true
        }
    );
}

#[test]
fn going_back_while_staging_leaves_the_running_pod() {
    let staged = PodFact {
        started: false,
        staged: true,
        ..fact("new", "3")
    };
    let plan = plan(Replace::WhenStaged, &[fact("old", "2"), staged]);
    let expected = goals(&[("old", Goal::Run), ("new", Goal::End)]);
    assert_eq!(
        plan,
        Rollout {
            goals: expected,
            make: false
        }
    );
}

#[test]
fn on_delete_waits_for_the_delete() {
    let old = fact("old", "1");
    let kept = plan(Replace::OnDelete, std::slice::from_ref(&old));
    assert_eq!(
        kept,
        Rollout {
            goals: goals(&[("old", Goal::Run)]),
            make: false
        }
    );
    let deleted = plan(
        Replace::OnDelete,
        &[PodFact {
            ending: true,
            ..old
        }],
    );
    assert_eq!(
        deleted,
        Rollout {
            goals: goals(&[("old", Goal::End)]),
            make: true
        }
    );
}

#[test]
fn one_of_two_pods_of_a_revision_goes() {
    let plan = plan(
        Replace::WhenStaged,
        &[fact("first", "2"), fact("second", "2")],
    );
    assert_eq!(
        plan.goals,
        goals(&[("first", Goal::Run), ("second", Goal::End)])
    );
}

#[test]
fn keep_and_an_unsynced_source_start_and_end_nothing() {
    let staged = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let pods = [fact("old", "1"), staged];
    let expected = Rollout {
        goals: goals(&[("old", Goal::Run), ("new", Goal::End)]),
        make: false,
    };
    let keep = plan_rollout(
        &Verdict::Keep(Vec::new()),
        &Revision::new("2"),
        Replace::WhenStaged,
        &pods,
    );
    assert_eq!(keep, expected);
    let left = goals(&[("old", Goal::Run), ("new", Goal::Stage)]);
    assert_eq!(leave_all(&pods).goals, left);
    assert_eq!(leave_all(&pods[1..]).goals, goals(&[("new", Goal::Run)]));
}

#[test]
fn stop_ends_everything() {
    let pods = [fact("old", "1"), fact("new", "2")];
    let expected = goals(&[("old", Goal::End), ("new", Goal::End)]);
    let stop = plan_rollout(
        &Verdict::Stop(Vec::new()),
        &Revision::new("2"),
        Replace::WhenStaged,
        &pods,
    );
    assert_eq!(stop.goals, expected);
    assert_eq!(end_all(&pods).goals, expected);
}
