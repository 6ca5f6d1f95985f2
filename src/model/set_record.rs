//! What is remembered of one DaemonSet: its revisions and how each fared, and what a person asked of
//! its rollout beside the manifest.
//!
//! Data only. It is on disk before anything that follows from it happens, so that an update goes on
//! where it was after any end of the agent.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde::{Deserialize, Serialize};

use crate::api::{ObjectKey, Revision};
use crate::model::{Reason, References};

/// The record of one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// The set.
    pub set: ObjectKey,
    /// Its revisions, in the order in which they were first seen.
    pub revisions: Vec<RevisionRecord>,
    /// The revision that was last let run.
    pub current: Option<Revision>,
    /// What was asked for by command, as long as the manifest stays as it was then.
    pub overrides: Option<Overrides>,
    /// How the last overrides came to an end, until there are new ones.
    pub ended: Option<Reason>,
}

/// One revision and how it fared here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// Its hash.
    pub hash: Revision,
    /// The template, as Kubernetes records one.
    pub object: ControllerRevision,
    /// The ConfigMaps and Secrets that belong to it: those it was good with, or those it is made of
    /// where their change is a revision of its own.
    pub objects: Option<Arc<References>>,
    /// Since when it is being tried.
    pub trial_since: Option<Timestamp>,
    /// When it was last found good: available for `minReadySeconds`.
    pub good_since: Option<Timestamp>,
    /// The number of that finding among the set's, from 1, which says which was last; 0 where an
    /// earlier version wrote none.
    #[serde(default)]
    pub good_order: u64,
    /// Why it is not to be tried again.
    pub bad: Option<Bad>,
}

/// A revision that did not become available, and what it was tried with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// What was wrong.
    pub reason: Reason,
    /// When that was found.
    pub at: Timestamp,
    /// What it was tried with; with anything else it is tried again.
    pub subject: Subject,
}

/// What a revision is tried with, as hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Of the manifest's object.
    pub manifest: String,
    /// Of the ConfigMaps and Secrets that the manifest's template refers to.
    pub objects: String,
}

/// What was asked for by command and holds for one content of the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// The hash of the manifest's object that they are for.
    pub manifest: String,
    /// `rollout undo`: the revision to run instead.
    pub undo: Option<Revision>,
    /// `rollout restart`: when, as the template's annotation says it.
    pub restarted_at: Option<Timestamp>,
    /// `rollout pause` and `resume`, over the annotation.
    pub paused: Option<bool>,
    /// `rollout approve`: the revision that may run.
    pub approved: Option<Revision>,
}

impl SetRecord {
    /// A set of which nothing is known yet.
    #[must_use]
    pub fn new(set: ObjectKey) -> Self {
        Self {
            set,
            revisions: Vec::new(),
            current: None,
            overrides: None,
            ended: None,
        }
    }

    /// The record of a revision.
    #[must_use]
    pub fn revision(&self, hash: &Revision) -> Option<&RevisionRecord> {
        self.revisions
            .iter()
            .find(|revision| revision.hash == *hash)
    }

    /// The revision that was found good last.
    #[must_use]
    pub fn last_good(&self) -> Option<&RevisionRecord> {
        let good = self.revisions.iter().filter(|r| r.good_since.is_some());
        good.max_by_key(|revision| revision.good_rank())
    }

    /// The number of the next finding that a revision is good.
    #[must_use]
    pub fn next_good(&self) -> u64 {
        let orders = self.revisions.iter().map(|revision| revision.good_order);
        orders.max().unwrap_or_default().saturating_add(1)
    }

    /// The record of a revision, to change.
    pub fn revision_mut(&mut self, hash: &Revision) -> Option<&mut RevisionRecord> {
        self.revisions
            .iter_mut()
            .find(|revision| revision.hash == *hash)
    }
}

impl RevisionRecord {
    /// A revision that was not tried yet.
    #[must_use]
    pub fn new(hash: Revision, object: ControllerRevision) -> Self {
        Self {
            hash,
            object,
            objects: None,
            trial_since: None,
            good_since: None,
            good_order: 0,
            bad: None,
        }
    }

    /// Grows with when it was last found good; nothing where it never was. Records that an earlier
    /// version wrote are told apart by the time.
    #[must_use]
    pub fn good_rank(&self) -> Option<(u64, Timestamp, i64)> {
        let since = self.good_since?;
        Some((self.good_order, since, self.number()))
    }

    /// Its number in the history.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.object.revision
    }

    /// Whether it was found bad with just this.
    #[must_use]
    pub fn is_bad_with(&self, subject: &Subject) -> bool {
        self.bad.as_ref().is_some_and(|bad| bad.subject == *subject)
    }
}

impl Overrides {
    /// What they ask for, in the words of the commands.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.undo.as_ref().map(|to| format!("undo to {to}")));
        words.extend(self.restarted_at.map(|at| format!("restart at {at}")));
        words.extend(self.paused.map(|paused| {
            let word = if paused { "pause" } else { "resume" };
            word.to_owned()
        }));
        words.extend(self.approved.as_ref().map(|of| format!("approve of {of}")));
        words.join(", ")
    }
}
