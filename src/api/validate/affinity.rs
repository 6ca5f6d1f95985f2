//! Node and pod affinity.

use super::at::{At, Errors};
use super::{labels, names};

/// Checks the affinity of a pod.
pub(crate) fn affinity(errors: &mut Errors, affinity: &At<'_, '_>) {
    let node = affinity.field("nodeAffinity");
    let required = node.field("requiredDuringSchedulingIgnoredDuringExecution");
    if required.is_set() {
        let terms = required.field("nodeSelectorTerms");
        if terms.len() == 0 {
            errors.required(&terms, "must list at least one term");
        }
        for term in terms.items() {
            node_term(errors, &term, Values::Checked);
        }
    }
    for preferred in node
        .field("preferredDuringSchedulingIgnoredDuringExecution")
        .items()
    {
        weight(errors, &preferred.field("weight"));
        node_term(errors, &preferred.field("preference"), Values::Free);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(kind);
        for term in pods
            .field("requiredDuringSchedulingIgnoredDuringExecution")
            .items()
        {
            pod_term(errors, &term);
        }
        for preferred in pods
            .field("preferredDuringSchedulingIgnoredDuringExecution")
            .items()
        {
            weight(errors, &preferred.field("weight"));
            pod_term(errors, &preferred.field("podAffinityTerm"));
        }
    }
}

/// Whether the values of a requirement must be label values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Checked,
    Free,
}

fn weight(errors: &mut Errors, weight: &At<'_, '_>) {
    if !(1..=100).contains(&weight.int()) {
        errors.invalid(weight, format!("is {}; it must be 1 to 100", weight.int()));
    }
}

fn node_term(errors: &mut Errors, term: &At<'_, '_>, checked: Values) {
    for requirement in term.field("matchExpressions").items() {
        let (operator, values) = (requirement.field("operator"), requirement.field("values"));
        match operator.str() {
            "In" | "NotIn" if values.len() == 0 => {
                errors.required(&values, "must list the values for In or NotIn");
            }
            "Exists" | "DoesNotExist" if values.len() > 0 => {
                errors.forbidden(
                    &values,
                    "Exists and DoesNotExist take no values; remove them",
                );
            }
            "Gt" | "Lt" if values.len() != 1 => {
                errors.required(&values, "must be one number for Gt or Lt");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => {
                let allowed = "use In, NotIn, Exists, DoesNotExist, Gt or Lt";
                errors.invalid(&operator, format!("{other:?} is no operator; {allowed}"));
            }
        }
        errors.check(&requirement.field("key"), names::qualified);
        for value in values.items().filter(|_| checked == Values::Checked) {
            errors.check(&value, names::label_value);
        }
    }
    for requirement in term.field("matchFields").items() {
        match_field(errors, &requirement);
    }
}

fn match_field(errors: &mut Errors, requirement: &At<'_, '_>) {
    let (key, operator) = (requirement.field("key"), requirement.field("operator"));
    let values = requirement.field("values");
    match operator.str() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                errors.required(&values, "must be exactly one node name");
            }
        }
        other => {
            errors.invalid(
                &operator,
                format!("{other:?} is no operator here; use In or NotIn"),
            );
        }
    }
    if key.str() != "metadata.name" {
        errors.invalid(
            &key,
            format!("{:?} is no field of nodes; use metadata.name", key.str()),
        );
        return;
    }
    for value in values.items() {
        errors.check(&value, names::subdomain);
    }
}

fn pod_term(errors: &mut Errors, term: &At<'_, '_>) {
    let selector = term.field("labelSelector");
    labels::selector(errors, &selector);
    labels::selector(errors, &term.field("namespaceSelector"));
    for namespace in term.field("namespaces").items() {
        if let Some(message) = names::label(namespace.str()) {
            errors.invalid(&term.field("namespace"), message);
        }
    }
    let (matching, mismatching) = (
        term.field("matchLabelKeys"),
        term.field("mismatchLabelKeys"),
    );
    label_keys(errors, &matching, &selector);
    label_keys(errors, &mismatching, &selector);
    for key in matching.items() {
        if mismatching.items().any(|other| other.str() == key.str()) {
            errors.invalid(
                &key,
                "is in mismatchLabelKeys too; keep it in one of the two",
            );
        }
    }
    let topology = term.field("topologyKey");
    if topology.str().is_empty() {
        errors.required(&topology, "must be set, as kubernetes.io/hostname");
    }
    errors.check(&topology, names::qualified);
}

/// Keys whose values are taken from the pod: valid, and not in the selector as well.
pub(crate) fn label_keys(errors: &mut Errors, keys: &At<'_, '_>, selector: &At<'_, '_>) {
    if keys.len() > 0 && !selector.is_set() {
        errors.forbidden(keys, "needs a labelSelector beside it");
        return;
    }
    for key in keys.items() {
        errors.check(&key, names::qualified);
        let expressions = selector.field("matchExpressions");
        let named = expressions
            .items()
            .any(|e| e.field("key").str() == key.str());
        if named || selector.field("matchLabels").entry(key.str()).is_set() {
            errors.invalid(
                &key,
                "is in the labelSelector too; keep it in one of the two",
            );
        }
    }
}
