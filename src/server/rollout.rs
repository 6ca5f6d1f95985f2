//! How far a set's rollout is, and its history, as `setlet rollout` shows them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::{Deserialize, Serialize};

use super::objects::pods_of;
use crate::api::{ObjectKey, Revision, revisions};
use crate::model::time::later;
use crate::model::{Goal, HostPort, NodeView, Reason, RevisionRecord, RolloutReport, SetReport};
use crate::status;

/// The annotation whose value the history shows beside a revision.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// A set's rollout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rollout {
    /// The set.
    pub set: ObjectKey,
    /// How far it is.
    pub progress: Progress,
    /// That in words.
    pub message: String,
    /// Why it is not as the manifest says.
    pub reasons: Vec<Reason>,
    /// Its revisions, lowest number first.
    pub revisions: Vec<RevisionLine>,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Progress {
    /// What the manifest asks for is available, and nothing else is there.
    Complete,
    /// It is on its way, or waits for something.
    Waiting,
    /// The wanted revision was found bad.
    Failed,
}

/// One revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionLine {
    /// Its number.
    pub number: i64,
    /// Its hash.
    pub hash: Revision,
    /// What became of it: `running`, `good`, `trying`, `bad: …`, or nothing yet.
    pub state: String,
    /// `kubernetes.io/change-cause` of the set when it was recorded.
    pub change_cause: Option<String>,
    /// When it was first seen.
    pub created_at: Option<Timestamp>,
    /// Its template.
    pub template: Option<PodTemplateSpec>,
}

/// The rollout of a set; nothing where there is no such set.
pub(super) fn rollout(view: &NodeView, key: &ObjectKey, now: Timestamp) -> Option<Rollout> {
    let report = view.sets.get(key)?;
    let (progress, message) = progress(view, key, report, now);
    let rollout = report.rollout.as_ref();
    let mut revisions: Vec<RevisionLine> = rollout
        .iter()
        .flat_map(|rollout| rollout.record.revisions.iter().map(|r| line(r, rollout)))
        .collect();
    revisions.sort_by_key(|line| line.number);
    Some(Rollout {
        set: key.clone(),
        progress,
        message,
        reasons: report.reasons.clone(),
        revisions,
    })
}

fn line(revision: &RevisionRecord, rollout: &RolloutReport) -> RevisionLine {
    let mut states = Vec::new();
    if revision.hash == rollout.target {
        states.push("running".to_owned());
    }
    if let Some(bad) = &revision.bad {
        states.push(format!("bad: {}", bad.reason.message));
    } else if revision.trial_since.is_some() {
        states.push("trying".to_owned());
    } else if revision.good_since.is_some() {
        states.push("good".to_owned());
    }
    let annotations = revision.object.metadata.annotations.as_ref();
    let created = revision.object.metadata.creation_timestamp.as_ref();
    RevisionLine {
        number: revision.number(),
        hash: revision.hash.clone(),
        state: states.join(", "),
        change_cause: annotations.and_then(|a| a.get(CHANGE_CAUSE)).cloned(),
        created_at: created.map(|time| time.0),
        template: revisions::template_of(&revision.object),
    }
}

fn progress(
    view: &NodeView,
    key: &ObjectKey,
    report: &SetReport,
    now: Timestamp,
) -> (Progress, String) {
    let name = &key.name;
    let Some(rollout) = report.rollout.as_ref().filter(|_| report.verdict.runs()) else {
        let message =
            format!("daemon set \"{name}\" does not run on this node: nothing to roll out");
        return (Progress::Complete, message);
    };
    let wanted = rollout.set.revision();
    let bad = rollout.record.revision(wanted).filter(|r| r.bad.is_some());
    let judged = report
        .reasons
        .iter()
        .find(|r| ["RolledBack", "NoGoodRevision"].contains(&r.word.as_str()));
    if let (Some(_), Some(judged)) = (bad, judged) {
        return (
            Progress::Failed,
            format!("daemon set \"{name}\": {}", judged.message),
        );
    }
    let pods = pods_of(view, report);
    let new = pods
        .iter()
        .find(|pod| pod.want.record.revision == *wanted && pod.want.goal == Goal::Run);
    let min_ready = rollout.set.spec().min_ready_seconds.unwrap_or(0).max(0);
    let available = new.is_some_and(|pod| {
        let since = status::ready_since(pod, &view.node, now);
        since.is_some_and(|since| {
            later(since, Duration::from_secs(min_ready.unsigned_abs().into())) <= now
        })
    });
    if available && pods.len() == 1 {
        let message = format!("daemon set \"{name}\" successfully rolled out");
        return (Progress::Complete, message);
    }
    (
        Progress::Waiting,
        waiting(name, report, &pods, new.copied(), available),
    )
}

fn waiting(
    name: &str,
    report: &SetReport,
    pods: &[&crate::model::PodReport],
    new: Option<&crate::model::PodReport>,
    available: bool,
) -> String {
    let head = format!("Waiting for daemon set \"{name}\" rollout to finish");
    let stopping = [
        "Paused",
        "Held",
        HostPort::CONFLICT,
        Reason::HOST_PATH_CONFLICT,
    ];
    let mut reasons = report.reasons.iter();
    let stops = reasons.find(|reason| stopping.contains(&reason.word.as_str()));
    if let Some(reason) = stops {
        return format!("{head}: {}", reason.message);
    }
    let what = match new {
        Some(_) if available => "the old pod ends",
        Some(_) => "0 of 1 updated pods are available",
        None => "0 out of 1 new pods have been updated",
    };
    let is_staged = |goal| matches!(goal, Goal::Stage | Goal::Prepare);
    let staged = pods.iter().find(|pod| is_staged(pod.want.goal));
    let why = new.or(staged.copied()).and_then(|pod| {
        let mut reasons = pod.want.held.iter().chain(&pod.plan.reasons);
        reasons.next().map(|reason| format!(" ({reason})"))
    });
    format!("{head}: {what}{}...", why.unwrap_or_default())
}
