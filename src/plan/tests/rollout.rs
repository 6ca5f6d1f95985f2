//! One set's pods through an update, a removal and a taint, each state as a whole value.

use crate::api::{Revision, Uid};
use crate::model::{Goal, Verdict};
use crate::plan::rollout::{
    PodFact, Renew, Replace, Rollout, Target, end_all, leave_all, plan_rollout, refuse,
};

fn fact(uid: &str, revision: &str) -> PodFact {
    PodFact {
        uid: Uid::new(uid),
        revision: Revision::new(revision),
        ending: false,
        staged: false,
        preparable: false,
        prepared: false,
        started: true,
        held: false,
        available: false,
        renewable: false,
        down: false,
    }
}

fn target(run: &str) -> Target {
    Target {
        run: Revision::new(run),
        stage: None,
        went_back: false,
        reasons: Vec::new(),
    }
}

fn made(goals: Vec<(Uid, Goal)>) -> Rollout {
    Rollout {
        goals,
        make: Some(Revision::new("2")),
        ..Rollout::default()
    }
}

fn only(goals: Vec<(Uid, Goal)>) -> Rollout {
    Rollout {
        goals,
        ..Rollout::default()
    }
}

fn goals(list: &[(&str, Goal)]) -> Vec<(Uid, Goal)> {
    list.iter()
        .map(|(uid, goal)| (Uid::new(*uid), *goal))
        .collect()
}

fn plan(replace: Replace, pods: &[PodFact]) -> Rollout {
    plan_rollout(&Verdict::Run, &target("2"), replace, pods)
}

#[test]
fn without_a_pod_one_is_made() {
    assert_eq!(plan(Replace::WhenStaged, &[]), made(Vec::new()));
}

#[test]
fn an_update_is_made_staged_switched_and_run() {
    let old = fact("old", "1");
    let staging = plan(Replace::WhenStaged, std::slice::from_ref(&old));
    assert_eq!(staging, made(goals(&[("old", Goal::Run)])));

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
    assert_eq!(alone, only(goals(&[("new", Goal::Run)])));
}

#[test]
fn a_sandbox_is_there_before_the_old_pod_ends() {
    let old = fact("old", "1");
    let mut new = PodFact {
        started: false,
        staged: true,
        preparable: true,
        ..fact("new", "2")
    };
    let both =
        |old: &PodFact, new: &PodFact| plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
    let preparing = goals(&[("old", Goal::Run), ("new", Goal::Prepare)]);
    assert_eq!(both(&old, &new).goals, preparing);

    new.prepared = true;
    let switched = goals(&[("old", Goal::End), ("new", Goal::Prepare)]);
    assert_eq!(both(&old, &new).goals, switched);

    let mut ending = PodFact {
        ending: true,
        ..old
    };
    assert_eq!(both(&ending, &new).goals, switched);
    ending.down = true;
    let run = goals(&[("old", Goal::End), ("new", Goal::Run)]);
    assert_eq!(both(&ending, &new).goals, run, "its remains go beside it");
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
    assert_eq!(plan, made(expected));
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
    assert_eq!(plan, only(expected));
}

#[test]
fn on_delete_waits_for_the_delete() {
    let old = fact("old", "1");
    let kept = plan(Replace::OnDelete, std::slice::from_ref(&old));
    assert_eq!(kept, only(goals(&[("old", Goal::Run)])));
    let deleted = plan(
        Replace::OnDelete,
        &[PodFact {
            ending: true,
            ..old
        }],
    );
    assert_eq!(deleted, made(goals(&[("old", Goal::End)])));
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
    let expected = only(goals(&[("old", Goal::Run), ("new", Goal::End)]));
    let keep = plan_rollout(
        &Verdict::Keep(Vec::new()),
        &target("2"),
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
        &target("2"),
        Replace::WhenStaged,
        &pods,
    );
    assert_eq!(stop.goals, expected);
    assert_eq!(end_all(&pods).goals, expected);
}

/// The pods of an update by surge: the old one available, the new one as given.
fn surge(new: PodFact) -> [PodFact; 2] {
    let old = PodFact {
        available: true,
        ..fact("old", "1")
    };
    [old, new]
}

fn goals_of_surge(new: PodFact) -> Vec<(Uid, Goal)> {
    plan(Replace::WhenAvailable, &surge(new)).goals
}

#[test]
fn a_surge_runs_both_until_the_new_one_is_available() {
    let made = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let staging = goals(&[("old", Goal::Run), ("new", Goal::Stage)]);
    assert_eq!(goals_of_surge(made.clone()), staging);
    let both = goals(&[("old", Goal::Run), ("new", Goal::Run)]);
    let staged = PodFact {
        staged: true,
        ..made
    };
    assert_eq!(goals_of_surge(staged), both);
    assert_eq!(goals_of_surge(fact("new", "2")), both);
    let available = PodFact {
        available: true,
        ..fact("new", "2")
    };
    let switched = goals(&[("old", Goal::End), ("new", Goal::Run)]);
    assert_eq!(goals_of_surge(available), switched);
}

#[test]
fn a_surge_that_goes_back_ends_the_new_pod_and_keeps_the_old_one() {
    let rollout = plan_rollout(
        &Verdict::Run,
        &target("1"),
        Replace::WhenAvailable,
        &surge(fact("new", "2")),
    );
    let expected = goals(&[("old", Goal::Run), ("new", Goal::End)]);
    assert_eq!(rollout, only(expected));
}

#[test]
fn of_two_old_pods_the_available_one_keeps_up_the_service() {
    let [old, middle] = surge(fact("middle", "1.5"));
    let new = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let plan = plan(Replace::WhenAvailable, &[old, middle, new]);
    let expected = [
        ("old", Goal::Run),
        ("middle", Goal::End),
        ("new", Goal::Stage),
    ];
    assert_eq!(plan.goals, goals(&expected));
}

#[test]
fn what_is_held_is_staged_beside_what_runs() {
    let held = Target {
        stage: Some(Revision::new("2")),
        ..target("1")
    };
    let plan = |pods: &[PodFact]| plan_rollout(&Verdict::Run, &held, Replace::WhenStaged, pods);
    let old = fact("old", "1");
    let next = PodFact {
        started: false,
        staged: true,
        ..fact("next", "2")
    };
    assert_eq!(
        plan(std::slice::from_ref(&old)),
        made(goals(&[("old", Goal::Run)]))
    );
    let both = goals(&[("old", Goal::Run), ("next", Goal::Stage)]);
    assert_eq!(plan(&[old, next.clone()]), only(both));
    // The one that ran was deleted: another of its revision runs, beside the staged one.
    let again = Rollout {
        make: Some(Revision::new("1")),
        ..only(goals(&[("next", Goal::Stage)]))
    };
    assert_eq!(plan(std::slice::from_ref(&next)), again);
    let fresh = PodFact {
        started: false,
        ..fact("fresh", "1")
    };
    let run = goals(&[("next", Goal::Stage), ("fresh", Goal::Run)]);
    assert_eq!(plan(&[next, fresh]).goals, run);
}

#[test]
fn in_place_the_old_pod_takes_over_what_was_staged() {
    let old = PodFact {
        renewable: true,
        ..fact("old", "1")
    };
    let mut new = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let waits = plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
    assert_eq!(waits.renew, None);
    new.staged = true;
    let renews = plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
    let expected = Renew {
        old: Uid::new("old"),
        new: Uid::new("new"),
    };
    assert_eq!(renews.renew, Some(expected));
    assert_eq!(
        renews.goals,
        goals(&[("old", Goal::Run), ("new", Goal::Stage)])
    );
    let renewed = PodFact {
        revision: Revision::new("2"),
        ..old
    };
    let done = plan(Replace::WhenStaged, &[renewed, new]);
    let expected = goals(&[("old", Goal::Run), ("new", Goal::End)]);
    assert_eq!(done, only(expected));
}

#[test]
fn an_update_that_is_refused_leaves_what_runs() {
    let staged = PodFact {
        started: false,
        ..fact("new", "2")
    };
    let pods = [fact("old", "1"), staged];
    let expected = goals(&[("old", Goal::Run), ("new", Goal::End)]);
    assert_eq!(refuse(&Verdict::Run, &pods), only(expected));
    let ends = goals(&[("old", Goal::End), ("new", Goal::End)]);
    assert_eq!(refuse(&Verdict::Stop(Vec::new()), &pods), only(ends));
}

#[test]
fn a_switch_waits_for_what_the_set_comes_after() {
    let old = fact("old", "1");
    let held = PodFact {
        started: false,
        staged: true,
        held: true,
        ..fact("new", "2")
    };
    let goals_of = |old: &PodFact, new: &PodFact| {
        let rollout = plan(Replace::WhenStaged, &[old.clone(), new.clone()]);
        (rollout.goals, rollout.renew, rollout.switch)
    };
    let stays = goals(&[("old", Goal::Run), ("new", Goal::Stage)]);
    assert_eq!(goals_of(&old, &held), (stays.clone(), None, None));
    let prepared = PodFact {
        preparable: true,
        prepared: true,
        ..held.clone()
    };
    assert_eq!(goals_of(&old, &prepared).0[0].1, Goal::Run);
    let renewable = PodFact {
        renewable: true,
        ..old.clone()
    };
    assert_eq!(
        goals_of(&renewable, &held),
        (stays, None, None),
        "nor in place"
    );

    let free = PodFact {
        held: false,
        ..held
    };
    let (switched, _, switch) = goals_of(&old, &free);
    assert_eq!(switched[0].1, Goal::End);
    assert_eq!(switch, Some(Uid::new("new")), "from here it is not held");
}
