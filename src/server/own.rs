//! The agent's own documents: what `setlet status` and `setlet explain` print.
//!
//! They are read back by the command line of the same version and by programs (`-o json`), so
//! fields may be added and are not renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::objects::pods_of;
use super::table::pod_line;
use crate::api::{ObjectKey, Origin};
use crate::model::{
    Goal, ImageState, NodeView, PodReport, Reason, Refused, Rule, SetReport, SourceCondition,
    Unread, Verdict,
};
use crate::status;

/// Everything `setlet status` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// `setlet.dev/v1`.
    pub api_version: String,
    /// `NodeReport`.
    pub kind: String,
    /// When it was made.
    pub now: Timestamp,
    /// The agent's version.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// Whether a synced snapshot has been planned since the start, and the runtime answers and has a
    /// network for pods.
    pub ready: bool,
    /// Whether the node is cordoned.
    pub unschedulable: bool,
    /// The runtime's name and version.
    pub runtime_version: String,
    /// Why the runtime cannot be reached, where it cannot.
    pub runtime: Option<Reason>,
    /// Why pods can have no network, where the runtime says so.
    #[serde(default)]
    pub network: Option<Reason>,
    /// What keeps the agent as a whole from doing what it should.
    #[serde(default)]
    pub troubles: Vec<Reason>,
    /// Whether the sources can be read.
    pub source: SourceCondition,
    /// Whether they were read whole since the start.
    pub synced: bool,
    /// The DaemonSets, by namespace and name.
    pub sets: Vec<SetLine>,
    /// Pods whose set is gone.
    pub orphans: Vec<PodReportLine>,
    /// Documents that were refused.
    pub refused: Vec<Refused>,
    /// Files that were left unread.
    pub unread: Vec<Unread>,
    /// Image archives that could not be imported, and why.
    #[serde(default)]
    pub archives: Vec<Reason>,
    /// What of the machine may become trouble for pods.
    #[serde(default)]
    pub notes: Vec<Reason>,
}

/// One DaemonSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetLine {
    /// Its namespace and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Where it was read.
    pub origin: Option<Origin>,
    /// Whether it runs here.
    pub verdict: Verdict,
    /// Why it is not as wanted, beyond what its pods say.
    pub reasons: Vec<Reason>,
    /// Its pods, oldest first.
    pub pods: Vec<PodReportLine>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReportLine {
    /// Its namespace and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Its revision.
    pub revision: String,
    /// `Stage`, `Run` or `End`.
    pub goal: Goal,
    /// The word kubectl shows: `Running`, `CrashLoopBackOff`, …
    pub state: String,
    /// Ready containers.
    pub ready: usize,
    /// Containers that can be ready.
    pub total: usize,
    /// Restarts of all its containers.
    pub restarts: i32,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Its address, where it has one.
    pub ip: Option<String>,
    /// Why something of it is held back.
    pub reasons: Vec<Reason>,
    /// Images on their way.
    pub pulls: Vec<Pull>,
}

/// An image on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pull {
    /// The image as the pod names it.
    pub image: String,
    /// When the pull was begun.
    pub since: Timestamp,
    /// Bytes so far; 0 where the runtime does not tell.
    pub done: u64,
    /// Bytes in all, as far as known; 0 where the runtime does not tell.
    pub total: u64,
}

/// Everything `setlet explain` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `setlet.dev/v1`.
    pub api_version: String,
    /// `Explanation`.
    pub kind: String,
    /// When it was made.
    pub now: Timestamp,
    /// The node's name.
    pub node: String,
    /// The set, where there is one; there is none when its only manifest was refused.
    pub set: Option<SetExplanation>,
    /// Documents of this set that were refused.
    pub refused: Vec<Refused>,
    /// Why the runtime cannot be reached, where it cannot.
    pub runtime: Option<Reason>,
}

/// The rules of a set, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetExplanation {
    /// Every rule with its answer.
    pub rules: Vec<Rule>,
    /// The set as status shows it.
    #[serde(flatten)]
    pub line: SetLine,
}

const API_VERSION: &str = "setlet.dev/v1";

/// The report on everything.
pub(super) fn report(view: &NodeView, now: Timestamp) -> NodeReport {
    let known: std::collections::BTreeSet<_> = view.sets.values().flat_map(|s| &s.pods).collect();
    let orphans = view.pods.iter().filter(|(uid, _)| !known.contains(uid));
    NodeReport {
        api_version: API_VERSION.to_owned(),
        kind: "NodeReport".to_owned(),
        now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: view.node.name.clone(),
        ready: view.ready && view.trouble().is_none(),
        unschedulable: view.node.unschedulable,
        runtime_version: view.runtime_version.clone(),
        runtime: view.runtime.clone(),
        network: view.network.clone(),
        troubles: view
            .troubles
            .iter()
            .chain(&view.unanswered)
            .cloned()
            .collect(),
        source: view.snapshot.condition.clone(),
        synced: view.snapshot.synced,
        sets: view
            .sets
            .iter()
            .map(|(key, set)| set_line(view, key, set, now))
            .collect(),
        orphans: orphans
            .map(|(_, pod)| pod_report_line(view, pod, now))
            .collect(),
        refused: view.snapshot.refused.clone(),
        unread: view.snapshot.unread.clone(),
        archives: view.archives.clone(),
        notes: view.node.notes.clone(),
    }
}

/// The explanation of one set; `None` when nothing is known by that name.
pub(super) fn explain(view: &NodeView, key: &ObjectKey, now: Timestamp) -> Option<Explanation> {
    let refused = view
        .snapshot
        .refused
        .iter()
        .filter(|r| r.set.as_ref() == Some(key));
    let refused: Vec<_> = refused.cloned().collect();
    let set = view.sets.get(key).map(|report| SetExplanation {
        rules: report.rules.clone(),
        line: set_line(view, key, report, now),
    });
    (set.is_some() || !refused.is_empty()).then(|| Explanation {
        api_version: API_VERSION.to_owned(),
        kind: "Explanation".to_owned(),
        now,
        node: view.node.name.clone(),
        set,
        refused,
        runtime: view.runtime.clone(),
    })
}

fn set_line(view: &NodeView, key: &ObjectKey, report: &SetReport, now: Timestamp) -> SetLine {
    let pods = pods_of(view, report).into_iter();
    SetLine {
        key: key.clone(),
        origin: view
            .snapshot
            .sets
            .get(key)
            .map(|(_, origin)| origin.clone()),
        verdict: report.verdict.clone(),
        reasons: report.reasons.clone(),
        pods: pods.map(|pod| pod_report_line(view, pod, now)).collect(),
    }
}

fn pod_report_line(view: &NodeView, report: &PodReport, now: Timestamp) -> PodReportLine {
    let pod = status::pod(report, &view.node, now);
    let line = pod_line(&pod);
    let key = report.want.key();
    let held = &report.want.held;
    let others = report.plan.reasons.iter();
    let reasons = held
        .iter()
        .chain(others.filter(|reason| !held.contains(reason)));
    PodReportLine {
        key: ObjectKey::new(key.namespace.clone(), key.name.clone()),
        uid: key.uid.as_str().to_owned(),
        revision: report.want.record.revision.as_str().to_owned(),
        goal: report.want.goal,
        state: line.state,
        ready: line.ready,
        total: line.total,
        restarts: line.restarts,
        created_at: report.want.record.created_at,
        ip: pod.status.and_then(|status| status.pod_ip),
        reasons: reasons.cloned().collect(),
        pulls: report.images.iter().filter_map(pull).collect(),
    }
}

fn pull((image, state): (&String, &ImageState)) -> Option<Pull> {
    match state {
        ImageState::Pulling { since, progress } => Some(Pull {
            image: image.clone(),
            since: *since,
            done: progress.done,
            total: progress.total,
        }),
        _ => None,
    }
}
