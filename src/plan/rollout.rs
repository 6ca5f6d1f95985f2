//! Which pods of one DaemonSet should exist on this node, and how far each should be brought.
//!
//! An update is staged beside the running pod and switched only then; where nothing speaks against
//! it the new pod's sandbox, too, is there before the old pod is touched, so that the switch takes no
//! more than the stop of the old containers and the start of the new ones. How it is switched is the
//! update strategy's, while what the set comes after is there: the old pod ends first (`maxUnavailable`), or when the new one is available
//! (`maxSurge`), or by hand (`OnDelete`); or the old pod takes over the new one's specification and
//! restarts what changed (`setlet.dev/update: in-place`). Nothing about it is remembered here: the
//! pods there are, and which of them has started, say how far an update is, so that a restart of the
//! agent between any two steps finds the same goals again.

use crate::api::{Revision, Uid};
use crate::model::{Goal, Verdict};

pub use super::policy::Replace;
pub use super::target::Target;

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
    /// It can have its sandbox while another pod of the set runs.
    pub preparable: bool,
    /// Its sandbox stands ready.
    pub prepared: bool,
    /// It has a container, or was told to make one.
    pub started: bool,
    /// Something that it comes after is missing: it may not be started now.
    pub held: bool,
    /// It is ready, and has been for `minReadySeconds`.
    pub available: bool,
    /// It can take over the specification of the set's staged pod.
    pub renewable: bool,
    /// It ends, none of its containers runs any more, and what it had of the node is free again.
    pub down: bool,
}

impl PodFact {
    /// Whether it can start as soon as the pod before it has stopped.
    fn may_follow(&self) -> bool {
        self.staged && (self.prepared || !self.preparable) && !self.held
    }
}

/// What should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// A goal for each pod.
    pub goals: Vec<(Uid, Goal)>,
    /// A new pod of this revision is to be made.
    pub make: Option<Revision>,
    /// A running pod is to take over the specification of a staged one.
    pub renew: Option<Renew>,
    /// The pod in whose favour another one ends now: from here it waits for nothing any more.
    pub switch: Option<Uid>,
}

/// An update in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// The pod that runs and goes on.
    pub old: Uid,
    /// The staged pod whose specification it takes over, and which then ends.
    pub new: Uid,
}

/// Decides for one set. `pods` are oldest first.
#[must_use]
pub fn plan_rollout(
    verdict: &Verdict,
    target: &Target,
    replace: Replace,
    pods: &[PodFact],
) -> Rollout {
    match verdict {
        Verdict::Stop(_) => end_all(pods),
        Verdict::Keep(_) => keep(pods),
        Verdict::Run => Run::of(target, replace, pods).plan(),
    }
}

/// The goals when the set is gone, or must not run here.
#[must_use]
pub fn end_all(pods: &[PodFact]) -> Rollout {
    every(pods, |_| Goal::End)
}

/// The goals while it is not known whether the set is gone: everything goes on as it was, a pod
/// that has nothing before it included, so that a machine whose manifests are late still boots.
#[must_use]
pub fn leave_all(pods: &[PodFact]) -> Rollout {
    every(pods, |pod| {
        if pod.ending {
            Goal::End
        } else if pod.started || pods.len() == 1 {
            Goal::Run
        } else {
            Goal::Stage
        }
    })
}

/// The goals while an update is refused: what runs goes on, if it may run here at all.
#[must_use]
pub fn refuse(verdict: &Verdict, pods: &[PodFact]) -> Rollout {
    match verdict {
        Verdict::Stop(_) => end_all(pods),
        Verdict::Keep(_) | Verdict::Run => keep(pods),
    }
}

/// Nothing is started and nothing that runs is ended; a pod that was only staged goes.
fn keep(pods: &[PodFact]) -> Rollout {
    every(pods, |pod| {
        // The first pod has begun as soon as it has a sandbox.
        let first = pods.len() == 1 && pod.prepared;
        if pod.ending || !(pod.started || first) {
            Goal::End
        } else {
            Goal::Run
        }
    })
}

fn every(pods: &[PodFact], goal: impl Fn(&PodFact) -> Goal) -> Rollout {
    Rollout {
        goals: pods
            .iter()
            .map(|pod| (pod.uid.clone(), goal(pod)))
            .collect(),
        ..Rollout::default()
    }
}

/// A set that runs here, and the pods of it that matter.
struct Run<'a> {
    target: &'a Target,
    replace: Replace,
    pods: &'a [PodFact],
    /// The pod of another revision that keeps up the service.
    old: Option<&'a PodFact>,
    /// The pod of the revision that is to run.
    new: Option<&'a PodFact>,
    /// The pod that is only to be staged.
    next: Option<&'a PodFact>,
}

impl<'a> Run<'a> {
    fn of(target: &'a Target, replace: Replace, pods: &'a [PodFact]) -> Self {
        let alive = || pods.iter().filter(|pod| !pod.ending);
        // Of several, the one that is available, then the oldest.
        let best = |found: Option<&'a PodFact>, pod: &'a PodFact| match found {
            Some(found) if rank(found) >= rank(pod) => Some(found),
            _ => Some(pod),
        };
        let of = |revision: &Revision| {
            let revision = revision.clone();
            alive().filter(move |pod| pod.revision == revision)
        };
        let old = alive().filter(|pod| pod.revision != target.run && pod.started);
        let next = target.stage.as_ref();
        Self {
            target,
            replace,
            pods,
            old: old.fold(None, best),
            new: of(&target.run).fold(None, best),
            next: next.and_then(|next| of(next).find(|pod| !pod.started)),
        }
    }

    fn plan(&self) -> Rollout {
        let waits = self.waits_for_delete();
        let make = if self.new.is_none() && !waits {
            Some(&self.target.run)
        } else {
            self.target.stage.as_ref().filter(|_| self.next.is_none())
        };
        Rollout {
            goals: every(self.pods, |pod| self.goal(pod)).goals,
            make: make.cloned(),
            renew: self.renew(),
            switch: self.switch(),
        }
    }

    /// The pod that has not started yet and that the old one makes room for now.
    fn switch(&self) -> Option<Uid> {
        let new = self.new.filter(|new| !new.started)?;
        let switches = self.old.is_some() && self.goal_of_old() == Goal::End;
        switches.then(|| new.uid.clone())
    }

    fn waits_for_delete(&self) -> bool {
        self.replace == Replace::OnDelete && self.old.is_some()
    }

    fn goal(&self, pod: &PodFact) -> Goal {
        if pod.ending {
            Goal::End
        } else if is(pod, self.new) {
            self.goal_of_new(pod)
        } else if is(pod, self.old) {
            self.goal_of_old()
        } else if is(pod, self.next) {
            Goal::Stage
        } else {
            Goal::End
        }
    }

    fn goal_of_new(&self, new: &PodFact) -> Goal {
        let surges = self.replace == Replace::WhenAvailable && new.staged;
        if new.started || surges || self.is_alone(new) {
            Goal::Run
        } else if self.waits_for_delete() {
            Goal::End
        } else if new.staged && new.preparable && self.renew().is_none() {
            Goal::Prepare
        } else {
            Goal::Stage
        }
    }

    fn goal_of_old(&self) -> Goal {
        let ready = self.new.is_some_and(|new| match self.replace {
            Replace::WhenStaged => new.started || new.may_follow(),
            Replace::WhenAvailable => new.started && new.available,
            Replace::OnDelete => false,
        });
        if ready && self.renew().is_none() {
            Goal::End
        } else {
            Goal::Run
        }
    }

    /// Whether nothing else of the set can be at work: what is only staged never was.
    fn is_alone(&self, new: &PodFact) -> bool {
        let mut others = self.pods.iter().filter(|pod| pod.uid != new.uid);
        others.all(|pod| is(pod, self.next) || pod.down)
    }

    fn renew(&self) -> Option<Renew> {
        let (old, new) = (self.old?, self.new?);
        let renews = self.replace != Replace::OnDelete && old.renewable;
        (renews && new.staged && !new.started && !new.held).then(|| Renew {
            old: old.uid.clone(),
            new: new.uid.clone(),
        })
    }
}

/// What makes one pod the better of two of the same kind; an older one wins a tie.
fn rank(pod: &PodFact) -> (bool, bool) {
    (pod.available, pod.started)
}

fn is(pod: &PodFact, other: Option<&PodFact>) -> bool {
    other.is_some_and(|other| other.uid == pod.uid)
}
