//! Which pods of one DaemonSet should exist on this node, and how far each should be brought.
//!
//! An update is staged beside the running pod and switched only then: the new pod gets
//! [`Goal::Stage`] while any other pod of the set is left, and [`Goal::Run`] when none is. Nothing
//! about an update is remembered anywhere else, so a restart of the agent between any two steps
//! finds the same goals again.

use crate::api::{Revision, Uid};
use crate::model::{Goal, Verdict};

/// What is known of one pod of the set that is not gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFact {
    /// The pod.
    pub uid: Uid,
    /// The revision it was made of.
    pub revision: Revision,
    /// Its end was decided and recorded.
    pub ending: bool,
    /// Everything that can fail beforehand has succeeded.
    pub staged: bool,
    /// It has a sandbox: it runs or has run.
    pub started: bool,
}

/// When a changed template replaces the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// As soon as the new one is staged (`RollingUpdate`).
    WhenStaged,
    /// When the old one is deleted by hand (`OnDelete`).
    OnDelete,
}

/// What should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// A goal for each pod.
    pub goals: Vec<(Uid, Goal)>,
    /// A new pod of the current revision is to be made.
    pub make: bool,
}

/// Decides for one set. `pods` are oldest first; `revision` is the set's current one.
#[must_use]
pub fn plan_rollout(
    verdict: &Verdict,
    revision: &Revision,
    replace: Replace,
    pods: &[PodFact],
) -> Rollout {
    match verdict {
        Verdict::Stop(_) => end_all(pods),
        Verdict::Keep(_) => keep(pods),
        Verdict::Run => run(revision, replace, pods),
    }
}

/// The goals when the set is gone, or must not run here.
#[must_use]
pub fn end_all(pods: &[PodFact]) -> Rollout {
    Rollout {
        goals: pods
            .iter()
            .map(|pod| (pod.uid.clone(), Goal::End))
            .collect(),
        make: false,
    }
}

/// The goals while it is not known whether the set is gone: everything goes on as it was, a pod
/// that has nothing before it included, so that a machine whose manifests are late still boots.
#[must_use]
pub fn leave_all(pods: &[PodFact]) -> Rollout {
    let goal = |pod: &PodFact| {
        if pod.ending {
            Goal::End
        } else if pod.started || pods.len() == 1 {
            Goal::Run
        } else {
            Goal::Stage
        }
    };
    Rollout {
        goals: pods
            .iter()
            .map(|pod| (pod.uid.clone(), goal(pod)))
            .collect(),
        make: false,
    }
}

/// Nothing is started and nothing that runs is ended; a pod that was only staged goes.
fn keep(pods: &[PodFact]) -> Rollout {
    let goal = |pod: &PodFact| {
        if pod.ending || !pod.started {
            Goal::End
        } else {
            Goal::Run
        }
    };
    Rollout {
        goals: pods
            .iter()
            .map(|pod| (pod.uid.clone(), goal(pod)))
            .collect(),
        make: false,
    }
}

fn run(revision: &Revision, replace: Replace, pods: &[PodFact]) -> Rollout {
    let alive = || pods.iter().filter(|pod| !pod.ending);
    let old = alive().find(|pod| pod.revision != *revision && pod.started);
    let new = alive()
        .filter(|pod| pod.revision == *revision)
        .max_by_key(|pod| (pod.started, std::cmp::Reverse(position(pods, pod))));
    let stays = |pod: &PodFact| {
        Some(&pod.uid) == old.map(|p| &p.uid) || Some(&pod.uid) == new.map(|p| &p.uid)
    };

    let waits_for_delete = replace == Replace::OnDelete && old.is_some();
    let switch = new.is_some_and(|new| new.staged || new.started);
    let goals = pods
        .iter()
        .map(|pod| {
            let goal = if pod.ending || !stays(pod) {
                Goal::End
            } else if pod.revision != *revision {
                if switch && !waits_for_delete {
                    Goal::End
                } else {
                    Goal::Run
                }
            } else if pod.started || pods.iter().all(|other| other.uid == pod.uid) {
                Goal::Run
            } else if waits_for_delete {
                Goal::End
            } else {
                Goal::Stage
            };
            (pod.uid.clone(), goal)
        })
        .collect();
    Rollout {
        goals,
        make: new.is_none() && !waits_for_delete,
    }
}

fn position(pods: &[PodFact], pod: &PodFact) -> usize {
    pods.iter()
        .position(|other| other.uid == pod.uid)
        .unwrap_or(usize::MAX)
}
