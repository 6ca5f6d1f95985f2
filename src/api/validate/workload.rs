//! The DaemonSet around its pod template: selector, strategy, limits; and the template's metadata.

use std::collections::BTreeMap;

use serde_json::Value;

use super::at::{At, Errors};
use super::{annotations, labels, pod};
use crate::api::{Cause, selector as matching};

/// Checks the spec of a DaemonSet.
pub(crate) fn daemon_set_spec(errors: &mut Errors, spec: &At<'_, '_>) {
    let template = spec.field("template");
    selector(errors, spec, &template);
    pod_template(errors, &template);
    let pod_spec = template.field("spec");
    read_only_disks(errors, &pod_spec.field("volumes"));
    let restart = pod_spec.field("restartPolicy");
    if restart.str() != "Always" {
        errors.unsupported(restart.path(), restart.str(), &["Always"]);
    }
    let deadline = pod_spec.field("activeDeadlineSeconds");
    if deadline.is_set() {
        errors.forbidden(&deadline, "pods of a DaemonSet have no deadline; remove it");
    }
    errors.not_negative(&spec.field("minReadySeconds"));
    errors.not_negative(&spec.field("revisionHistoryLimit"));
    strategy(errors, &spec.field("updateStrategy"));
}

fn selector(errors: &mut Errors, spec: &At<'_, '_>, template: &At<'_, '_>) {
    let selector = spec.field("selector");
    let usable = labels::selector(errors, &selector);
    let metadata = template.field("metadata");
    let template_labels = metadata.field("labels");
    let mismatch = "the template's labels do not match spec.selector; give the template the labels the selector asks for";
    if !selector.is_set() {
        let message = "spec.selector is missing; it must match these labels";
        errors.invalid(&template_labels, message);
        return;
    }
    if selector.field("matchLabels").len() + selector.field("matchExpressions").len() == 0 {
        errors.invalid(&selector, "must not be empty; list labels of the template");
        return;
    }
    if !usable {
        return;
    }
    let have: BTreeMap<String, String> = template_labels
        .entries()
        .map(|(key, value)| (key.to_owned(), value.str().to_owned()))
        .collect();
    let want = selector.value().cloned().unwrap_or_default();
    if !serde_json::from_value(want).is_ok_and(|want| matching::matches(&want, &have)) {
        errors.invalid(&template_labels, mismatch);
    }
}

/// The template's labels, annotations and pod spec.
///
/// Paths of its metadata leave out `metadata`, as the reference's do.
fn pod_template(errors: &mut Errors, template: &At<'_, '_>) {
    let metadata = template.field("metadata");
    let path = template.path();
    labels::labels(errors, &metadata.field("labels"), &format!("{path}.labels"));
    let given = metadata.field("annotations");
    let annotations_path = format!("{path}.annotations");
    labels::annotations(errors, &given, &annotations_path);
    let spec = template.field("spec");
    annotations::pod_annotations(errors, &given, &spec, &annotations_path);
    pod::pod_spec(errors, &spec, pod::Within::Template);
    annotations::seccomp_agrees(errors, &given, &spec);
    let ephemeral = spec.field("ephemeralContainers");
    if ephemeral.len() > 0 {
        errors.forbidden(
            &ephemeral,
            "a template has no ephemeral containers; remove them",
        );
    }
}

/// A disk that many pods mount must be read-only.
fn read_only_disks(errors: &mut Errors, volumes: &At<'_, '_>) {
    for volume in volumes.items() {
        let disk = volume.field("gcePersistentDisk");
        if disk.is_set() && !disk.field("readOnly").is_true() {
            let path = format!("{}.GCEPersistentDisk.readOnly", volume.path());
            errors.add(
                path,
                Cause::Invalid,
                "must be true where several pods mount the disk",
            );
        }
    }
}

fn strategy(errors: &mut Errors, strategy: &At<'_, '_>) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").str() {
        "OnDelete" => {}
        "RollingUpdate" => rolling_update(errors, &rolling),
        other => errors.unsupported(strategy.path(), other, &["RollingUpdate", "OnDelete"]),
    }
}

fn rolling_update(errors: &mut Errors, rolling: &At<'_, '_>) {
    let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
    for at in [&unavailable, &surge] {
        match (at.value(), percent(at.str())) {
            (Some(Value::String(text)), None) => {
                errors.invalid(
                    at,
                    format!("{text:?} must be a number or a percentage such as 10%"),
                );
            }
            (Some(Value::String(_)), Some(percent)) if percent > 100 => {
                errors.invalid(at, format!("{percent}% must not be more than 100%"));
            }
            _ => errors.not_negative(at),
        }
    }
    // Text that is no percentage was refused above; a number in it counts here all the same.
    let amount = |at: &At<'_, '_>| match percent(at.str()) {
        Some(percent) => percent,
        None => at.str().parse().unwrap_or_else(|_| at.int()),
    };
    match (amount(&unavailable) != 0, amount(&surge) != 0) {
        (true, true) => errors.invalid(
            &surge,
            "must be 0 unless maxUnavailable is 0 (it is 1 where it is not given); set one of the two",
        ),
        (false, false) => {
            errors.required(&unavailable, "must not be 0 while maxSurge is 0; set one of the two");
        }
        _ => {}
    }
}

/// The number of a percentage.
fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(i64::MAX))
}
