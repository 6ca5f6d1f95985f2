//! Taints and tolerations, with the tolerations that every DaemonSet pod is given.

use k8s_openapi::api::core::v1::{PodSpec, Toleration};

use crate::api::pod::daemon_tolerations;
use crate::model::{IfViolated, NodeFacts, Rule, Taint, TaintEffect};

/// One rule for each taint of the node.
pub(super) fn rules(spec: &PodSpec, node: &NodeFacts) -> Vec<Rule> {
    if node.taints.is_empty() {
        return Vec::new();
    }
    let tolerations = daemon_tolerations(spec);
    node.taints
        .iter()
        .map(|taint| taint_rule(taint, &tolerations))
        .collect()
}

fn taint_rule(taint: &Taint, tolerations: &[Toleration]) -> Rule {
    let subject = format!("taint {taint}");
    let if_violated = match taint.effect {
        TaintEffect::NoExecute => IfViolated::Stop,
        TaintEffect::NoSchedule | TaintEffect::PreferNoSchedule => IfViolated::Keep,
    };
    let tolerated = tolerations
        .iter()
        .find(|toleration| tolerates(toleration, taint));
    let (holds, because) = match tolerated {
        Some(toleration) => (true, format!("tolerated by {}", describe(toleration))),
        None if taint.effect == TaintEffect::PreferNoSchedule => (
            true,
            "PreferNoSchedule never keeps a DaemonSet pod away".to_owned(),
        ),
        None => (
            false,
            "no toleration of spec.template.spec.tolerations matches it".to_owned(),
        ),
    };
    Rule {
        subject,
        holds,
        if_violated,
        because,
    }
}

/// Whether a toleration covers a taint. An empty key or effect covers all of them, no operator
/// means `Equal`, and `tolerationSeconds` plays no part in this decision.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let covers = |have: &Option<String>, wanted: &str| {
        have.as_deref()
            .is_none_or(|have| have.is_empty() || have == wanted)
    };
    if !covers(&toleration.effect, taint.effect.as_str()) || !covers(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value,
        "Exists" => true,
        _ => false,
    }
}

fn describe(toleration: &Toleration) -> String {
    let key = toleration
        .key
        .as_deref()
        .filter(|key| !key.is_empty())
        .unwrap_or("every key");
    let effect = toleration
        .effect
        .as_deref()
        .filter(|effect| !effect.is_empty())
        .unwrap_or("every effect");
    match toleration.operator.as_deref() {
        Some("Exists") => format!("{key} Exists for {effect}"),
        _ => format!(
            "{key}={} for {effect}",
            toleration.value.as_deref().unwrap_or_default()
        ),
    }
}
