//! Which revision of a set should run now, and which should only be made ready: the manifest's own,
//! unless it is paused, held, or was found bad.

use super::policy::Policy;
use crate::api::Revision;
use crate::model::{Reason, RevisionRecord, SetRecord, Subject};

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The revision to run.
    pub run: Revision,
    /// Another one to stage and not to run yet.
    pub stage: Option<Revision>,
    /// Whether `run` is the last good revision, in place of a bad one.
    pub went_back: bool,
    /// Why it is not what the manifest says.
    pub reasons: Vec<Reason>,
}

/// Decides which revision should run. `wanted` is the manifest's revision, commands given for it
/// included, and `subject` what it is tried with.
#[must_use]
pub fn plan_target(
    record: &SetRecord,
    wanted: &Revision,
    policy: &Policy,
    subject: &Subject,
) -> Target {
    let mut target = Target {
        run: wanted.clone(),
        stage: None,
        went_back: false,
        reasons: Vec::new(),
    };
    if policy.rollback {
        go_back_from_bad(record, wanted, subject, &mut target);
    }
    let current = record
        .current
        .as_ref()
        .filter(|current| record.revision(current).is_some());
    let Some(current) = current.filter(|current| **current != target.run) else {
        return target;
    };
    let overrides = record.overrides.as_ref();
    if overrides.and_then(|o| o.paused).unwrap_or(policy.paused) {
        let message = format!(
            "{} runs on; {} waits for the end of the pause",
            name(record, current),
            name(record, &target.run)
        );
        target.reasons.push(Reason::new("Paused", message));
        target.run = current.clone();
        target.went_back = false;
    } else if policy.hold && !target.went_back && !is_approved(record, &target.run) {
        let message = format!(
            "{} is held until it is approved: setlet rollout approve {}",
            name(record, &target.run),
            record.set
        );
        target.reasons.push(Reason::new("Held", message));
        target.stage = Some(std::mem::replace(&mut target.run, current.clone()));
    }
    target
}

fn go_back_from_bad(record: &SetRecord, wanted: &Revision, subject: &Subject, target: &mut Target) {
    let bad = record.revision(wanted).and_then(|r| r.bad.as_ref());
    let Some(bad) = bad.filter(|bad| bad.subject == *subject) else {
        return;
    };
    if let Some(good) = last_good(record, wanted, subject) {
        let message = format!(
            "{} was bad: {}; {} runs instead until the manifest or an object it refers to changes",
            name(record, wanted),
            bad.reason.message,
            name(record, &good.hash),
        );
        target.reasons.push(Reason::new("RolledBack", message));
        target.run = good.hash.clone();
        target.went_back = true;
        return;
    }
    // What runs stays: another switch would help nobody.
    let current = record.current.as_ref().and_then(|c| record.revision(c));
    let stays = current.filter(|current| current.hash != *wanted && current.good_since.is_some());
    let mut message = format!(
        "{} is bad: {}; there is no good revision to go back to",
        name(record, wanted),
        bad.reason.message,
    );
    if let Some(stays) = stays {
        message += &format!("; {} stays", name(record, &stays.hash));
        target.run = stays.hash.clone();
        target.went_back = true;
    }
    target.reasons.push(Reason::new("NoGoodRevision", message));
}

/// The revision that was good last and was not found bad while going back either.
fn last_good<'a>(
    record: &'a SetRecord,
    wanted: &Revision,
    subject: &Subject,
) -> Option<&'a RevisionRecord> {
    let good = record.revisions.iter().filter(|revision| {
        revision.good_since.is_some() && revision.hash != *wanted && !revision.is_bad_with(subject)
    });
    good.max_by_key(|revision| revision.good_rank())
}

fn is_approved(record: &SetRecord, revision: &Revision) -> bool {
    let approved = record.overrides.as_ref().and_then(|o| o.approved.as_ref());
    approved == Some(revision)
}

/// `revision 3 (abcde)`.
fn name(record: &SetRecord, hash: &Revision) -> String {
    match record.revision(hash) {
        Some(revision) => format!("revision {} ({hash})", revision.number()),
        None => format!("revision {hash}"),
    }
}
