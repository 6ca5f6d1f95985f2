//! The order of sets: waiting, cycles, and the way back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{at, observed, pod, ready_memory, running, sandbox};
use crate::api::{Condition, ObjectKey, after};
use crate::model::{Action, Found, Goal, HostConditions, PodMemory, Reason, SandboxState};
use crate::plan::order::{RestFact, SetFact, Standing, is_wait, may_end, plan_order, plan_turn};
use crate::plan::plan_pod;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("n", name)
}

fn conditions(name: &str, text: &str) -> BTreeSet<Condition> {
    after::conditions(text, &key(name)).expect("conditions")
}

fn sets(all: &[(&str, &str, Standing)]) -> BTreeMap<ObjectKey, SetFact> {
    all.iter()
        .map(|(name, after, standing)| {
            let fact = SetFact {
                after: conditions(name, after),
                standing: *standing,
                replaces: false,
            };
            (key(name), fact)
        })
        .collect()
}

/// `name: message` of everything that waits.
fn told(sets: &BTreeMap<ObjectKey, SetFact>, host: &HostConditions) -> Vec<String> {
    plan_order(sets, host)
        .iter()
        .flat_map(|(key, reasons)| {
            reasons
                .iter()
                .map(move |reason| format!("{}: {}", key.name, reason.message))
        })
        .collect()
}

#[test]
fn a_set_starts_when_all_it_names_is_there() {
    let mut all = sets(&[
        ("base", "", Standing::NotReady),
        (
            "top",
            "base, path:/run/x, unit:z.service",
            Standing::NotReady,
        ),
    ]);
    let mut host = HostConditions::new();
    host.insert(
        Condition::Unit("z.service".into()),
        Found::NotYet("inactive".into()),
    );
    assert_eq!(
        told(&all, &host),
        [
            "top: set n/base: it has no ready pod yet",
            "top: path:/run/x: it is being looked for",
            "top: unit:z.service: inactive",
        ]
    );
    assert!(plan_order(&all, &host)[&key("top")].iter().all(is_wait));

    all.get_mut(&key("base")).expect("base").standing = Standing::Ready;
    host.insert(Condition::Path("/run/x".into()), Found::Met);
    assert_eq!(told(&all, &host), ["top: unit:z.service: inactive"]);
    host.insert(Condition::Unit("z.service".into()), Found::Met);
    assert!(told(&all, &host).is_empty());
}

#[test]
fn a_set_that_will_not_come_is_named_as_such() {
    let all = sets(&[
        ("away", "", Standing::NotHere),
        ("top", "away, nowhere", Standing::NotReady),
    ]);
    let told = told(&all, &HostConditions::new());
    assert!(
        told[0].contains("n/away: it is not for this node"),
        "{told:?}"
    );
    assert!(
        told[1].contains("n/nowhere: there is no such set"),
        "{told:?}"
    );
}

#[test]
fn every_set_of_a_cycle_names_it_alike() {
    let all = sets(&[
        ("c", "a", Standing::Ready),
        ("a", "b, path:/x", Standing::Ready),
        ("b", "c", Standing::Ready),
        ("outside", "a", Standing::NotReady),
    ]);
    let plan = plan_order(&all, &HostConditions::new());
    for name in ["a", "b", "c"] {
        let [reason] = plan[&key(name)].as_slice() else {
            panic!("{plan:?}");
        };
        assert_eq!(reason.word, "CyclicOrder");
        assert!(
            reason.message.contains("n/a -> n/b -> n/c -> n/a"),
            "{reason}"
        );
        assert!(!is_wait(reason));
    }
    assert_eq!(plan.get(&key("outside")), None, "a runs and is ready");
}

#[test]
fn two_rounds_through_one_set_are_each_named_by_their_own() {
    let all = sets(&[
        ("a", "b", Standing::NotReady),
        ("b", "a, c", Standing::NotReady),
        ("c", "b", Standing::NotReady),
    ]);
    let plan = plan_order(&all, &HostConditions::new());
    assert!(plan[&key("a")][0].message.contains("n/a -> n/b -> n/a;"));
    assert!(plan[&key("c")][0].message.contains("n/b -> n/c -> n/b;"));
}

#[test]
fn dependents_end_first() {
    let mut ending: BTreeMap<_, _> = [("base", ""), ("mid", "base, path:/x"), ("top", "mid")]
        .map(|(name, after)| (key(name), conditions(name, after)))
        .into();
    assert_eq!(may_end(&key("base"), &ending), [&key("mid")]);
    assert_eq!(may_end(&key("mid"), &ending), [&key("top")]);
    assert!(may_end(&key("top"), &ending).is_empty());
    ending.remove(&key("top"));
    ending.remove(&key("mid"));
    assert!(may_end(&key("base"), &ending).is_empty());
}

#[test]
fn a_cycle_holds_up_no_end() {
    let ending: BTreeMap<_, _> = [("a", "b"), ("b", "a"), ("top", "a")]
        .map(|(name, after)| (key(name), conditions(name, after)))
        .into();
    assert_eq!(may_end(&key("a"), &ending), [&key("top")]);
    assert!(may_end(&key("b"), &ending).is_empty());
}

#[test]
fn a_waiting_pod_has_its_images_and_nothing_else() {
    let all = sets(&[("top", "path:/x", Standing::NotReady)]);
    let waits = plan_order(&all, &HostConditions::new()).remove(&key("top"));
    let waits = waits.expect("it waits");
    for goal in [Goal::Stage, Goal::Run] {
        let mut want = pod(goal, &[], &["a"]);
        Arc::make_mut(&mut want).held = waits.clone();
        let plan = plan_pod(Some(&want), None, &PodMemory::default(), at(0));
        assert!(plan.reasons.contains(&waits[0]), "{:?}", plan.reasons);
        assert!(
            matches!(plan.actions.as_slice(), [Action::EnsureImage { .. }]),
            "{:?}",
            plan.actions
        );
        let plan = plan_pod(Some(&want), None, &ready_memory(&["a"]), at(0));
        assert!(plan.actions.is_empty() && !plan.staged, "{plan:?}");

        // What is refused for good is not fetched either.
        Arc::make_mut(&mut want).held = vec![Reason::new("Unsupported", "a field")];
        let plan = plan_pod(Some(&want), None, &PodMemory::default(), at(0));
        assert!(plan.actions.is_empty() && !plan.staged, "{plan:?}");
    }
}

#[test]
fn a_pod_that_runs_waits_for_nothing() {
    let mut want = pod(Goal::Run, &[], &["a"]);
    let memory = ready_memory(&["a"]);
    let up = observed(
        vec![sandbox(0, SandboxState::Ready)],
        vec![super::have_container("a", 0, running())],
    );
    let free = plan_pod(Some(&want), Some(&up), &memory, at(5));
    Arc::make_mut(&mut want).held = vec![Reason::new("WaitingFor", "path:/x")];
    let held = plan_pod(Some(&want), Some(&up), &memory, at(5));
    assert_eq!(held.actions, free.actions);
    assert_eq!(held.reasons, free.reasons);
}

#[test]
fn a_pod_rests_when_it_is_its_turn_or_time_is_up() {
    let waits = RestFact {
        is_ending: false,
        has_begun: false,
        is_up: true,
        is_first: false,
        left: Duration::from_secs(5),
    };
    assert_eq!(plan_turn(&waits), None);
    let rests = [
        RestFact {
            is_first: true,
            ..waits
        },
        RestFact {
            has_begun: true,
            ..waits
        },
        RestFact {
            is_up: false,
            ..waits
        },
        RestFact {
            left: Duration::ZERO,
            ..waits
        },
    ];
    for pod in rests {
        assert_eq!(plan_turn(&pod), Some(Goal::Rest), "{pod:?}");
    }
    let ending = RestFact {
        is_ending: true,
        ..waits
    };
    assert_eq!(plan_turn(&ending), Some(Goal::End));
}

#[test]
fn what_runs_is_not_replaced_just_before_what_it_needs() {
    let mut all = sets(&[
        ("base", "", Standing::Updating),
        ("top", "base", Standing::Ready),
    ]);
    let host = HostConditions::default();
    assert_eq!(told(&all, &host), [""; 0], "one that is missing starts");
    if let Some(top) = all.get_mut(&key("top")) {
        top.replaces = true;
    }
    let [waits] = told(&all, &host).try_into().expect("one waits");
    assert!(
        waits.ends_with("set n/base: it is being updated"),
        "{waits}"
    );
}
