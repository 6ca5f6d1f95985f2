//! Node selector and required node affinity, as `component-helpers/scheduling/corev1/nodeaffinity`
//! of Kubernetes v1.36 matches them: all of the selector, and one term of the affinity.

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec,
};

use crate::model::{IfViolated, NodeFacts, Rule};

const AFFINITY: &str = "spec.template.spec.affinity.nodeAffinity\
    .requiredDuringSchedulingIgnoredDuringExecution";

/// One rule for each node selector entry, and one for the affinity where there is one.
pub(super) fn rules(spec: &PodSpec, node: &NodeFacts) -> Vec<Rule> {
    let mut rules: Vec<Rule> = spec
        .node_selector
        .iter()
        .flatten()
        .map(|(key, wanted)| selector_entry(key, wanted, node))
        .collect();
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    rules.extend(required.map(|required| required_affinity(required, node)));
    rules
}

fn selector_entry(key: &str, wanted: &str, node: &NodeFacts) -> Rule {
    let have = node.labels.get(key);
    let because = match have {
        Some(value) if value == wanted => format!("label {key}={value}"),
        Some(value) => format!("wanted {key}={wanted}, the node has {key}={value}"),
        None => format!("wanted {key}={wanted}, the node has no label {key}"),
    };
    Rule {
        subject: format!("spec.template.spec.nodeSelector[{key}]"),
        holds: have.is_some_and(|value| value == wanted),
        if_violated: IfViolated::Stop,
        because,
    }
}

/// Terms are alternatives; a rejected affinity says for each term what was against it.
fn required_affinity(required: &NodeSelector, node: &NodeFacts) -> Rule {
    let mut against = Vec::new();
    for (index, term) in required.node_selector_terms.iter().enumerate() {
        match term_mismatch(term, node) {
            None => {
                return Rule {
                    subject: format!("{AFFINITY}.nodeSelectorTerms[{index}]"),
                    holds: true,
                    if_violated: IfViolated::Stop,
                    because: format!("{} matches", describe_term(term)),
                };
            }
            Some(why) => against.push(format!("term {index}: {why}")),
        }
    }
    Rule {
        subject: format!("{AFFINITY}.nodeSelectorTerms"),
        holds: false,
        if_violated: IfViolated::Stop,
        because: if against.is_empty() {
            "no term is given".to_owned()
        } else {
            against.join("; ")
        },
    }
}

/// The first requirement of a term that the node does not meet. A term without requirements
/// matches nothing.
fn term_mismatch(term: &NodeSelectorTerm, node: &NodeFacts) -> Option<String> {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return Some("an empty term matches no node".to_owned());
    }
    let label = |requirement: &&NodeSelectorRequirement| {
        !label_matches(
            requirement,
            node.labels.get(&requirement.key).map(String::as_str),
        )
    };
    if let Some(requirement) = expressions.iter().find(label) {
        let have = match node.labels.get(&requirement.key) {
            Some(value) => format!("the node has {}={value}", requirement.key),
            None => format!("the node has no label {}", requirement.key),
        };
        return Some(format!("wanted {}, {have}", describe(requirement)));
    }
    fields
        .iter()
        .find(|requirement| !field_matches(requirement, node))
        .map(|requirement| {
            format!(
                "wanted {}, this node is {:?}",
                describe(requirement),
                node.name
            )
        })
}

/// `NotIn` and `DoesNotExist` hold where the label is missing; `Gt` and `Lt` compare 64-bit integers
/// and never hold for anything else.
fn label_matches(requirement: &NodeSelectorRequirement, have: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|wanted| wanted == value);
    match requirement.operator.as_str() {
        "In" => have.is_some_and(listed),
        "NotIn" => !have.is_some_and(listed),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        "Gt" => compare(have, values).is_some_and(|(have, wanted)| have > wanted),
        "Lt" => compare(have, values).is_some_and(|(have, wanted)| have < wanted),
        _ => false,
    }
}

fn compare(have: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    match values {
        [wanted] => Some((have?.parse().ok()?, wanted.parse().ok()?)),
        _ => None,
    }
}

/// The only field a node is selected by is its name, with `In` or `NotIn` and one value.
fn field_matches(requirement: &NodeSelectorRequirement, node: &NodeFacts) -> bool {
    let Some([value]) = requirement.values.as_deref() else {
        return false;
    };
    match (requirement.key.as_str(), requirement.operator.as_str()) {
        ("metadata.name", "In") => *value == node.name,
        ("metadata.name", "NotIn") => *value != node.name,
        _ => false,
    }
}

fn describe(requirement: &NodeSelectorRequirement) -> String {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        operator @ ("Exists" | "DoesNotExist") => format!("{} {operator}", requirement.key),
        operator => format!("{} {operator} [{}]", requirement.key, values.join(", ")),
    }
}

fn describe_term(term: &NodeSelectorTerm) -> String {
    let all = term
        .match_expressions
        .iter()
        .chain(&term.match_fields)
        .flatten();
    all.map(describe).collect::<Vec<_>>().join(" and ")
}
