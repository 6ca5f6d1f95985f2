//! Environment: variables, where their values come from, and references to fields and resources.

use super::at::{At, Errors};
use super::names;
use super::pod::Context;
use crate::api::Cause;

/// Checks `env` and `envFrom` of a container.
pub(crate) fn env(errors: &mut Errors, container: &At<'_, '_>, context: &Context<'_>) {
    for variable in container.field("env").items() {
        let name = variable.field("name");
        if name.str().is_empty() {
            errors.required(&name, "must be set; every variable needs a name");
        } else {
            errors.check(&name, names::variable);
        }
        let source = variable.field("valueFrom");
        if source.is_set() {
            value_from(
                errors,
                &source,
                !variable.field("value").str().is_empty(),
                context,
            );
        }
    }
    let from = container.field("envFrom");
    for source in from.items() {
        env_from(errors, &from, &source);
    }
}

fn value_from(errors: &mut Errors, source: &At<'_, '_>, has_value: bool, context: &Context<'_>) {
    let mut count = 0;
    let field = source.field("fieldRef");
    if field.is_set() {
        count += 1;
        field_ref(errors, &field, &ENV_FIELDS);
    }
    let resource = source.field("resourceFieldRef");
    if resource.is_set() {
        count += 1;
        resource_ref(errors, &resource, false);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let reference = source.field(kind);
        if reference.is_set() {
            count += 1;
            errors.check(&reference.field("name"), names::subdomain);
            required_key(errors, &reference.field("key"), names::config_key);
        }
    }
    let file = source.field("fileKeyRef");
    if file.is_set() {
        count += 1;
        file_ref(errors, &file, context);
    }
    let kinds = "fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef and fileKeyRef";
    if count == 0 {
        errors.invalid(source, format!("must hold one of {kinds}"));
    } else if has_value {
        errors.invalid(
            source,
            "must not be set where value is; keep one of the two",
        );
    } else if count > 1 {
        errors.invalid(source, format!("must hold only one of {kinds}"));
    }
}

fn required_key(errors: &mut Errors, at: &At<'_, '_>, rule: impl Fn(&str) -> Option<String>) {
    if at.str().is_empty() {
        errors.required(at, "must be set");
    } else {
        errors.check(at, rule);
    }
}

fn file_ref(errors: &mut Errors, file: &At<'_, '_>, context: &Context<'_>) {
    required_key(errors, &file.field("key"), names::variable);
    required_key(errors, &file.field("path"), names::volume_path);
    let volume = file.field("volumeName");
    if volume.str().is_empty() {
        errors.required(&volume, "must name an emptyDir volume of the pod");
    }
    match context.volumes.get(volume.str()) {
        None => errors.not_found(&volume, format!("there is no volume {:?}", volume.str())),
        Some(source) if source.get("emptyDir").is_none() => {
            errors.invalid(
                &volume,
                format!("volume {:?} must be an emptyDir", volume.str()),
            );
        }
        Some(_) => {}
    }
}

fn env_from(errors: &mut Errors, all: &At<'_, '_>, source: &At<'_, '_>) {
    let prefix = source.field("prefix");
    if !prefix.str().is_empty() {
        errors.check(&prefix, names::variable);
    }
    let mut count = 0;
    for kind in ["configMapRef", "secretRef"] {
        let reference = source.field(kind);
        if reference.is_set() {
            count += 1;
            let name = reference.field("name");
            required_key(errors, &name, names::subdomain_prefix);
        }
    }
    if count != 1 {
        errors.invalid(all, "each entry must hold either configMapRef or secretRef");
    }
}

/// The fields a variable may show.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields a file of a volume may show.
pub(crate) const VOLUME_FIELDS: [&str; 5] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.labels",
    "metadata.annotations",
    "metadata.uid",
];
/// The field paths there are at all.
const KNOWN_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// A reference to a field of the pod.
pub(crate) fn field_ref(errors: &mut Errors, reference: &At<'_, '_>, allowed: &[&str]) {
    let (version, path) = (reference.field("apiVersion"), reference.field("fieldPath"));
    if version.str().is_empty() {
        errors.required(&version, "must be set; use v1");
        return;
    }
    if path.str().is_empty() {
        errors.required(&path, "must be set, as metadata.name");
        return;
    }
    let text = path.str();
    let subscripted = text
        .strip_suffix("']")
        .and_then(|rest| rest.split_once("['"))
        .filter(|(base, _)| !base.is_empty());
    let known = match subscripted {
        Some((base, _)) => ["metadata.annotations", "metadata.labels"].contains(&base),
        None => KNOWN_FIELDS.contains(&text) || text == "spec.host",
    };
    if version.str() != "v1" || !known {
        let message = format!("{text:?} is no field that can be referred to");
        errors.invalid(&path, message);
        return;
    }
    match subscripted {
        Some(("metadata.annotations", key)) => {
            if let Some(message) = names::qualified(&key.to_lowercase()) {
                errors.invalid(reference, message);
            }
        }
        Some((_, key)) => {
            if let Some(message) = names::qualified(key) {
                errors.invalid(reference, message);
            }
        }
        None => {
            let field = if text == "spec.host" {
                "spec.nodeName"
            } else {
                text
            };
            if !allowed.contains(&field) {
                errors.unsupported(path.path(), text, allowed);
            }
        }
    }
}

/// The resources a reference may show, besides huge pages.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];

/// A reference to a resource of a container.
pub(crate) fn resource_ref(errors: &mut Errors, reference: &At<'_, '_>, in_volume: bool) {
    let (container, resource) = (
        reference.field("containerName"),
        reference.field("resource"),
    );
    let name = resource.str();
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if in_volume && container.str().is_empty() {
        errors.required(
            &container,
            "must name a container, as a volume has none of its own",
        );
    } else if name.is_empty() {
        errors.required(&resource, "must be set, as limits.cpu");
    } else if !huge && !RESOURCES.contains(&name) {
        errors.unsupported(resource.path(), name, &RESOURCES);
    }
    let divisor = reference.field("divisor");
    if divisor.quantity().is_zero() {
        return;
    }
    let cpu = name.ends_with(".cpu") && RESOURCES.contains(&name);
    let allowed: &[&str] = if cpu {
        &["1m", "1"]
    } else if huge || RESOURCES.contains(&name) {
        &[
            "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
        ]
    } else {
        return;
    };
    if !allowed.contains(&divisor.quantity().to_string().as_str()) {
        let message = format!(
            "{} is not supported; use {}",
            divisor.str(),
            super::at::list(allowed)
        );
        errors.add(divisor.path(), Cause::Invalid, message);
    }
}
