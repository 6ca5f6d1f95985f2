//! What the agent knows at a moment, for status, server and metrics: facts and plans, from which
//! every status is derived.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{ObjectKey, Uid};
use crate::model::{
    DesiredPod, ImageState, NodeFacts, ObservedPod, PodPlan, Probed, Reason, Rule, Snapshot,
    Verdict,
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
    /// The plan made of it.
    pub plan: Arc<PodPlan>,
    /// The images' states, for progress.
    pub images: Arc<BTreeMap<String, ImageState>>,
    /// What its probes say.
    pub probes: Arc<Probed>,
}

/// What is decided for one DaemonSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReport {
    /// Whether it runs here.
    pub verdict: Verdict,
    /// Every rule with its answer.
    pub rules: Vec<Rule>,
    /// Its pods' uids, oldest first.
    pub pods: Vec<Uid>,
    /// Why it is not as wanted, beyond what its pods say.
    pub reasons: Vec<Reason>,
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
    /// The runtime's name and version, for example `containerd://1.6.20`.
    pub runtime_version: String,
    /// Image archives that could not be imported, and why.
    pub archives: Vec<Reason>,
    /// Whether a synced snapshot has been planned since the start.
    pub ready: bool,
}
