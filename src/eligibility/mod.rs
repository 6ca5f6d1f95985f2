//! Decides whether a DaemonSet runs on this node, as the DaemonSet controller of Kubernetes v1.36
//! decides it for every node (`NodeShouldRunDaemonPod`).
//!
//! Three things must hold for a pod to be started: the template's `nodeName`, if any, is this
//! node's; its node selector and required node affinity match; every `NoSchedule` and `NoExecute`
//! taint is tolerated. A pod that already runs is measured again whenever the node or the set
//! changes: an untolerated `NoSchedule` taint leaves it running, everything else ends it, labels and
//! affinity included ("IgnoredDuringExecution" does not hold for DaemonSets).
//!
//! Nothing here looks at resources, ports or cordons; those never keep a DaemonSet pod away.

mod affinity;
mod taints;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::PodSpec;

use crate::api::daemonset::DaemonSet;
use crate::model::{IfViolated, NodeFacts, Rule, Verdict};

/// Decides for one DaemonSet on this node.
#[must_use]
pub fn decide(set: &DaemonSet, node: &NodeFacts) -> Verdict {
    verdict(explain(set, node))
}

/// Every rule that has a say, each with its answer, in the order they are asked.
#[must_use]
pub fn explain(set: &DaemonSet, node: &NodeFacts) -> Vec<Rule> {
    let spec = set.pod_spec();
    let mut rules = Vec::new();
    rules.extend(node_name(spec, node));
    rules.extend(affinity::rules(spec, node));
    rules.extend(taints::rules(spec, node));
    rules
}

/// What the rules come to together: one that stops outweighs any that keep.
#[must_use]
pub fn verdict(rules: Vec<Rule>) -> Verdict {
    let violated: Vec<Rule> = rules.into_iter().filter(|rule| !rule.holds).collect();
    if violated.is_empty() {
        Verdict::Run
    } else if violated
        .iter()
        .any(|rule| rule.if_violated == IfViolated::Stop)
    {
        Verdict::Stop(violated)
    } else {
        Verdict::Keep(violated)
    }
}

/// A template that names a node runs on that node only, on top of all other rules.
fn node_name(spec: &PodSpec, node: &NodeFacts) -> Option<Rule> {
    let wanted = spec.node_name.as_deref().filter(|name| !name.is_empty())?;
    let holds = wanted == node.name;
    let because = if holds {
        format!("this node is {wanted:?}")
    } else {
        format!("wanted {wanted:?}, this node is {:?}", node.name)
    };
    Some(Rule {
        subject: "spec.template.spec.nodeName".to_owned(),
        holds,
        if_violated: IfViolated::Stop,
        because,
    })
}
