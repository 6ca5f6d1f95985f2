//! Tolerations, topology spread constraints and scheduling gates.

use std::collections::BTreeSet;

use super::at::{At, Errors};
use super::{affinity, labels, names};
use crate::api::Cause;

/// Checks what else decides where a pod goes.
pub(crate) fn scheduling(errors: &mut Errors, spec: &At<'_, '_>) {
    for toleration in spec.field("tolerations").items() {
        check_toleration(errors, &toleration);
    }
    let constraints = spec.field("topologySpreadConstraints");
    for (index, constraint) in constraints.items().enumerate() {
        spread(errors, &constraint);
        let key = |at: &At<'_, '_>| {
            (
                at.field("topologyKey").str().to_owned(),
                at.field("whenUnsatisfiable").str().to_owned(),
            )
        };
        if constraints
            .items()
            .skip(index + 1)
            .any(|later| key(&later) == key(&constraint))
        {
            let path = format!("{}.{{topologyKey, whenUnsatisfiable}}", constraint.path());
            errors.add(path, Cause::Duplicate, "is there again below; keep one");
        }
    }
    let mut seen = BTreeSet::new();
    for gate in spec.field("schedulingGates").items() {
        let name = gate.field("name").str();
        if let Some(message) = names::qualified(name) {
            errors.invalid(&gate, message);
        }
        if !seen.insert(name) {
            errors.duplicate(&gate, name);
        }
    }
}

fn check_toleration(errors: &mut Errors, toleration: &At<'_, '_>) {
    let (key, operator) = (toleration.field("key"), toleration.field("operator"));
    let (value, effect) = (toleration.field("value"), toleration.field("effect"));
    if !key.str().is_empty() {
        errors.check(&key, names::qualified);
    } else if operator.str() != "Exists" {
        errors.invalid(&operator, "must be Exists where there is no key");
    }
    if toleration.field("tolerationSeconds").is_set() && effect.str() != "NoExecute" {
        errors.invalid(
            &effect,
            "must be NoExecute where there are tolerationSeconds",
        );
    }
    match operator.str() {
        "" | "Equal" => {
            if let Some(message) = names::label_value(value.str()) {
                errors.invalid(&operator, message);
            }
        }
        "Exists" => {
            if !value.str().is_empty() {
                errors.invalid(&operator, "Exists takes no value; remove it, or use Equal");
            }
        }
        other => errors.unsupported(operator.path(), other, &["Equal", "Exists"]),
    }
    if !effect.str().is_empty() {
        errors.one_of(&effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}

fn spread(errors: &mut Errors, constraint: &At<'_, '_>) {
    let skew = constraint.field("maxSkew");
    if skew.int() <= 0 {
        errors.invalid(&skew, format!("is {}; it must be 1 or more", skew.int()));
    }
    let topology = constraint.field("topologyKey");
    if topology.str().is_empty() {
        errors.required(&topology, "must be set, as topology.kubernetes.io/zone");
    } else {
        errors.check(&topology, names::qualified);
    }
    let when = constraint.field("whenUnsatisfiable");
    errors.one_of(&when, &["DoNotSchedule", "ScheduleAnyway"]);
    let domains = constraint.field("minDomains");
    if domains.is_set() {
        if domains.int() <= 0 {
            errors.invalid(
                &domains,
                format!("is {}; it must be 1 or more", domains.int()),
            );
        }
        if when.str() != "DoNotSchedule" {
            errors.invalid(&domains, "belongs to whenUnsatisfiable: DoNotSchedule only");
        }
    }
    for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        let policy = constraint.field(name);
        if policy.is_set() {
            errors.one_of(&policy, &["Honor", "Ignore"]);
        }
    }
    let selector = constraint.field("labelSelector");
    labels::selector(errors, &selector);
    affinity::label_keys(errors, &constraint.field("matchLabelKeys"), &selector);
}
