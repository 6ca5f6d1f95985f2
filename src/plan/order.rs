//! The order of sets: which may start now, what each of the others waits for, and which end first.
//!
//! Pure. What a set waits for is in its annotation `setlet.dev/after`. A condition counts only until
//! the pod runs: one that goes away later ends nothing. Kubernetes knows no order among DaemonSets;
//! the model is systemd's `After=`, with readiness for the start, and the reverse for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::{Condition, ObjectKey};
use crate::model::{Found, Goal, HostConditions, Reason};

/// The word of the reasons given here for something that will come.
const WAITING: &str = "WaitingFor";
/// The word of the reason for sets that wait for each other.
const CYCLE: &str = "CyclicOrder";

/// The field that says what a set comes after.
pub const FIELD: &str = "metadata.annotations[setlet.dev/after]";

/// How a set that is in the directory stands on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has a ready pod here.
    Ready,
    /// It has a ready pod here, which is about to give way to another.
    Updating,
    /// It is to have one.
    NotReady,
    /// It is not for this node.
    NotHere,
}

/// What is known of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetFact {
    /// What it waits for.
    pub after: BTreeSet<Condition>,
    /// How it stands.
    pub standing: Standing,
    /// It has a pod that runs: what is to be started of it comes in its place.
    pub replaces: bool,
}

/// Why each set that may not start now may not; a set that is not named may. `sets` are those of the
/// directory, each with its conditions.
#[must_use]
pub fn plan_order(
    sets: &BTreeMap<ObjectKey, SetFact>,
    host: &HostConditions,
) -> BTreeMap<ObjectKey, Vec<Reason>> {
    let after = |key: &ObjectKey| sets.get(key).map(|fact| &fact.after);
    let mut waiting = BTreeMap::new();
    for (key, fact) in sets {
        let reasons: Vec<Reason> = match cyclic(key, after) {
            Some(why) => vec![Reason::new(CYCLE, format!("{FIELD}: {why}"))],
            None => fact
                .after
                .iter()
                .filter_map(|condition| unmet(condition, fact.replaces, sets, host))
                .collect(),
        };
        if !reasons.is_empty() {
            waiting.insert(key.clone(), reasons);
        }
    }
    waiting
}

/// What is wrong with [`FIELD`] of a set that waits for itself by way of others, as far as `after` knows
/// them.
pub fn cyclic<'a>(
    key: &'a ObjectKey,
    after: impl Fn(&ObjectKey) -> Option<&'a BTreeSet<Condition>>,
) -> Option<String> {
    cycle(key, after).map(|cycle| in_words(&cycle))
}

/// Whether a reason is one that only time, or another set, takes away: images may be had meanwhile.
#[must_use]
pub fn is_wait(reason: &Reason) -> bool {
    reason.word == WAITING
}

/// Which of the sets that are ending must be gone before this one's end begins: those that wait for
/// it when they start. `ending` are all sets that end and have pods left, with their conditions.
/// Sets that wait for each other hold up nobody.
#[must_use]
pub fn may_end<'a>(
    key: &ObjectKey,
    ending: &'a BTreeMap<ObjectKey, BTreeSet<Condition>>,
) -> Vec<&'a ObjectKey> {
    let after = |key: &ObjectKey| ending.get(key);
    let mut first: Vec<_> = ending
        .iter()
        .filter(|(_, conditions)| conditions.contains(&Condition::Set(key.clone())))
        .map(|(dependent, _)| dependent)
        .collect();
    first.retain(|dependent| way(key, dependent, after).is_none());
    first
}

/// What is known of a pod when the machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestFact {
    /// Its end was decided before.
    pub is_ending: bool,
    /// Its rest has begun.
    pub has_begun: bool,
    /// It has a sandbox that works.
    pub is_up: bool,
    /// Nothing ends before its set.
    pub is_first: bool,
    /// What is left of the time that the machine gives.
    pub left: Duration,
}

/// What a pod is to do when the machine goes down: it rests when it is its turn, or there is no more time
/// for turns. One that never ran waits for nobody, and what has begun goes on. `None` leaves it as it is.
#[must_use]
pub fn plan_turn(pod: &RestFact) -> Option<Goal> {
    let waits = pod.is_up && !pod.is_first && !pod.has_begun && !pod.left.is_zero();
    match pod.is_ending {
        true => Some(Goal::End),
        false => (!waits).then_some(Goal::Rest),
    }
}

/// The reason for a set whose end waits for others.
#[must_use]
pub fn ends_after(dependents: &[&ObjectKey]) -> Reason {
    let names: Vec<_> = dependents.iter().map(ToString::to_string).collect();
    Reason::new(
        WAITING,
        format!(
            "it ends when {} has ended, which needs it",
            names.join(", ")
        ),
    )
}

/// The reason for every set when the machine goes down; the word is the one with which
/// kubelet refuses pods while its node shuts down.
#[must_use]
pub fn goes_down() -> Reason {
    Reason::new(
        "NodeShutdown",
        "the machine goes down; its pods come back when it starts",
    )
}

/// The reason for a pod whose conditions were not looked at yet.
#[must_use]
pub fn unlooked() -> Reason {
    Reason::new(WAITING, "what it comes after is being looked for")
}

/// Why a condition is not met; `None` when it is. A pod that runs is not replaced just before what it
/// needs is, of which nobody knows yet whether it comes back; one that is missing does not wait for that.
fn unmet(
    condition: &Condition,
    replaces: bool,
    sets: &BTreeMap<ObjectKey, SetFact>,
    host: &HostConditions,
) -> Option<Reason> {
    let why = match condition {
        Condition::Set(key) => match sets.get(key).map(|fact| fact.standing) {
            Some(Standing::Updating) if replaces => "it is being updated",
            Some(Standing::Ready | Standing::Updating) => return None,
            Some(Standing::NotReady) => "it has no ready pod yet",
            Some(Standing::NotHere) => "it is not for this node; it is waited for all the same",
            None => "there is no such set in the manifests; it is waited for all the same",
        },
        _ => match host.get(condition) {
            Some(Found::Met) => return None,
            Some(Found::NotYet(why)) => why,
            None => "it is being looked for",
        },
    };
    let subject = match condition {
        Condition::Set(key) => format!("set {key}"),
        other => other.to_string(),
    };
    Some(Reason::new(WAITING, format!("{subject}: {why}")))
}

fn in_words(cycle: &[&ObjectKey]) -> String {
    let names: Vec<_> = cycle.iter().map(ToString::to_string).collect();
    let way = names.join(" -> ");
    format!(
        "sets wait for each other: {way}; none of them is started until one gives way, what runs \
         goes on"
    )
}

/// The shortest way from a set back to itself, beginning at the smallest key on it, so that every
/// set on it names it alike.
fn cycle<'a>(
    key: &'a ObjectKey,
    after: impl Fn(&ObjectKey) -> Option<&'a BTreeSet<Condition>>,
) -> Option<Vec<&'a ObjectKey>> {
    let mut round = way(key, key, after)?;
    round.pop();
    let smallest = (0..round.len()).min_by_key(|i| round[*i])?;
    round.rotate_left(smallest);
    round.push(round[0]);
    Some(round)
}

/// The shortest way from one set along what it waits for to another, both ends with it.
fn way<'a>(
    from: &'a ObjectKey,
    to: &ObjectKey,
    after: impl Fn(&ObjectKey) -> Option<&'a BTreeSet<Condition>>,
) -> Option<Vec<&'a ObjectKey>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        for condition in after(last).into_iter().flatten() {
            let Condition::Set(next) = condition else {
                continue;
            };
            let longer = || way.iter().copied().chain([next]).collect::<Vec<_>>();
            if next == to {
                return Some(longer());
            }
            if seen.insert(next) {
                ways.push_back(longer());
            }
        }
    }
    None
}
