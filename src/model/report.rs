//! What the agent knows at a moment, for status, server and metrics: facts and plans, from which
//! every status is derived.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::daemonset::DaemonSet;
use crate::api::{ObjectKey, Revision, Uid};
use crate::model::{
    DesiredPod, ImageState, NodeFacts, ObservedPod, PodPlan, Probed, Reason, Rule, SetRecord,
    Snapshot, Verdict,
};

/// One pod's worker's newest word.
#[derive(Debug, Clone, PartialEq)]
pub struct PodReport {
    /// What it was told to bring about.
    pub want: Arc<DesiredPod>,
    /// What the runtime has; `None` before the first observation, or when there is nothing.
    pub have: Option<Arc<ObservedPod>>,
    /// Whether the runtime could be asked at all.
    pub observed: bool,
    /// The wish's `look_at`, where this was observed then or later.
    pub looked_at: Option<Timestamp>,
    /// The plan made of it.
    pub plan: Arc<PodPlan>,
    /// The images' states, for progress.
    pub images: Arc<BTreeMap<String, ImageState>>,
    /// What its probes say.
    pub probes: Arc<Probed>,
}

/// How far the rollout of one DaemonSet is.
#[derive(Debug, Clone)]
pub struct RolloutReport {
    /// The set as it is to run in the end: the manifest's, with what commands ask of it.
    pub set: Arc<DaemonSet>,
    /// The revision that runs or is being brought up.
    pub target: Revision,
    /// Its revisions and how they fared.
    pub record: Arc<SetRecord>,
}

impl PartialEq for RolloutReport {
    /// Both are replaced when they change, never edited.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.set, &other.set)
            && Arc::ptr_eq(&self.record, &other.record)
            && self.target == other.target
    }
}

/// What is decided for one DaemonSet.
#[derive(Debug, Clone, PartialEq)]
pub struct SetReport {
    /// Whether it runs here.
    pub verdict: Verdict,
    /// Every rule with its answer.
    pub rules: Vec<Rule>,
    /// Its pods' uids, oldest first.
    pub pods: Vec<Uid>,
    /// Why it is not as wanted, beyond what its pods say.
    pub reasons: Vec<Reason>,
    /// How far its rollout is; nothing of a set that never ran here.
    pub rollout: Option<RolloutReport>,
}

/// The whole view: what the server answers from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeView {
    /// Grows with every publication, also over restarts (it begins at the clock's milliseconds): the
    /// `resourceVersion` of lists.
    pub version: u64,
    /// The node.
    pub node: Arc<NodeFacts>,
    /// What the sources want.
    pub snapshot: Arc<Snapshot>,
    /// By set: what was decided.
    pub sets: BTreeMap<ObjectKey, Arc<SetReport>>,
    /// By uid: the pods' newest reports.
    pub pods: BTreeMap<Uid, PodReport>,
    /// Why the runtime cannot be reached, where it cannot.
    pub runtime: Option<Reason>,
    /// Why pods can have no network, where the runtime says so.
    pub network: Option<Reason>,
    /// What keeps the agent as a whole from doing what it should: decisions cannot be written down,
    /// another agent has its name.
    pub troubles: Vec<Reason>,
    /// What of the agent's own does not answer: the state directory, for example.
    pub unanswered: Vec<Reason>,
    /// The runtime's name and version, for example `containerd://1.6.20`.
    pub runtime_version: String,
    /// Image archives that could not be imported, and why.
    pub archives: Vec<Reason>,
    /// Whether a synced snapshot has been planned since the start.
    pub ready: bool,
}

impl NodeView {
    /// Why the node is not ready, as far as it is the runtime's matter.
    #[must_use]
    pub fn trouble(&self) -> Option<&Reason> {
        self.runtime.as_ref().or(self.network.as_ref())
    }
}
