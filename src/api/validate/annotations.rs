//! Annotations that mean something: of a pod, the old way to set AppArmor and seccomp profiles; of a
//! set, what it waits for.

use super::at::{At, Errors};
use super::names;
use crate::api::{Cause, ObjectKey, after};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Checks the annotations of a DaemonSet itself.
pub(crate) fn set_annotations(errors: &mut Errors, metadata: &At<'_, '_>) {
    let annotations = metadata.field("annotations");
    let own = ObjectKey::new(
        metadata.field("namespace").str(),
        metadata.field("name").str(),
    );
    let text = annotations.entry(after::ANNOTATION);
    if let Err(wrong) = after::conditions(text.str(), &own) {
        for why in wrong {
            errors.invalid(&text, why);
        }
    }
}

/// Checks the annotations of a pod or template.
pub(crate) fn pod_annotations(
    errors: &mut Errors,
    annotations: &At<'_, '_>,
    spec: &At<'_, '_>,
    path: &str,
) {
    for (key, value) in annotations.entries() {
        let text = value.str();
        let at_key = format!("{path}[{key}]");
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            if !has_container(spec, container) {
                let message = format!("there is no container {container:?}");
                errors.add(at_key.clone(), Cause::Invalid, message);
            }
            let known = ["", "runtime/default", "unconfined"].contains(&text);
            if !known && !text.starts_with("localhost/") {
                let message = format!(
                    "{text:?} is no AppArmor profile; use runtime/default, unconfined or localhost/NAME"
                );
                errors.add(at_key, Cause::Invalid, message);
            }
        } else if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            if let Some(message) = seccomp(text) {
                errors.add(format!("{path}.{key}"), Cause::Invalid, message);
            }
        } else if key == DELETION_COST {
            let plain = !text.starts_with('+') && (text == "0" || !text.starts_with('0'));
            if !plain || text.parse::<i32>().is_err() {
                errors.add(
                    at_key,
                    Cause::Invalid,
                    format!("{text:?} must be a 32-bit number"),
                );
            }
        } else if key == MIRROR && spec.field("nodeName").str().is_empty() {
            errors.add(at_key, Cause::Invalid, "a mirror pod needs spec.nodeName");
        }
    }
}

fn seccomp(text: &str) -> Option<String> {
    if ["runtime/default", "docker/default", "unconfined"].contains(&text) {
        return None;
    }
    match text.strip_prefix("localhost/") {
        Some(path) => names::relative(path),
        None => Some(format!(
            "{text:?} is no seccomp profile; use runtime/default, unconfined or localhost/PATH"
        )),
    }
}

/// Whether any container of the pod has this name.
fn has_container(spec: &At<'_, '_>, name: &str) -> bool {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .any(|kind| {
            let containers = spec.field(kind);
            containers
                .items()
                .any(|container| container.field("name").str() == name)
        })
}

/// Where a seccomp annotation and the field are both given, they must say the same.
pub(crate) fn seccomp_agrees(errors: &mut Errors, annotations: &At<'_, '_>, spec: &At<'_, '_>) {
    let context = spec.field("securityContext");
    let of_pod = context.field("seccompProfile");
    agree(
        errors,
        annotations.entry(SECCOMP_POD).value(),
        &of_pod,
        &of_pod,
        SECCOMP,
    );
    each_profile(spec, "seccompProfile", |name, profile| {
        let key = format!("{SECCOMP_CONTAINER}{name}");
        let annotation = annotations.value().and_then(|map| map.get(&key));
        agree(errors, annotation, profile, profile, SECCOMP);
    });
}

/// Where an AppArmor annotation and the field are both given, they must say the same.
pub(crate) fn app_armor_agrees(errors: &mut Errors, annotations: &At<'_, '_>, spec: &At<'_, '_>) {
    if spec.field("os").field("name").str() == "windows" {
        return;
    }
    let context = spec.field("securityContext");
    let of_pod = context.field("appArmorProfile");
    each_profile(spec, "appArmorProfile", |name, profile| {
        let key = format!("{APP_ARMOR}{name}");
        let annotation = annotations.value().and_then(|map| map.get(&key));
        let effective = if profile.is_set() { profile } else { &of_pod };
        agree(errors, annotation, effective, profile, &["runtime/default"]);
    });
}

/// The spellings of the default profile in a seccomp annotation.
const SECCOMP: &[&str] = &["runtime/default", "docker/default"];

fn each_profile(
    spec: &At<'_, '_>,
    profile: &'static str,
    mut check: impl FnMut(&str, &At<'_, '_>),
) {
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.field(kind).items() {
            let context = container.field("securityContext");
            check(container.field("name").str(), &context.field(profile));
        }
    }
}

fn agree(
    errors: &mut Errors,
    annotation: Option<&serde_json::Value>,
    profile: &At<'_, '_>,
    reported: &At<'_, '_>,
    defaults: &[&str],
) {
    let Some(annotation) = annotation.and_then(serde_json::Value::as_str) else {
        return;
    };
    if !profile.is_set() {
        return;
    }
    let message = format!("the annotation says {annotation:?}; make the two say the same");
    let (ty, local) = (reported.field("type"), reported.field("localhostProfile"));
    let path = profile.field("localhostProfile");
    match profile.field("type").str() {
        "Unconfined" if annotation != "unconfined" => errors.forbidden(&ty, message),
        "RuntimeDefault" if !defaults.contains(&annotation) => errors.forbidden(&ty, message),
        "Localhost" => match annotation.strip_prefix("localhost/") {
            None => errors.forbidden(&ty, message),
            Some(name) if !path.is_set() || name != path.str() => {
                errors.forbidden(&local, message);
            }
            Some(_) => {}
        },
        _ => {}
    }
}
