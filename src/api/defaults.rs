//! What kube-apiserver v1.36 fills in where a manifest says nothing, and what it drops.
//!
//! Works on decoded values, in place. The rules are those of the `apps/v1` and `v1` defaulting
//! functions and of the preparation for a create: fields behind feature gates that are off go,
//! metadata that only a server may write goes, the status is the empty one. What is defaulted only
//! when a pod is made is in [`super::pod`].

mod container;
mod image;
mod made_pod;
mod pod;
mod volume;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Kind;
use super::admission::Ownership;

pub(super) use made_pod::apply_pod;

/// A decoded object.
pub(super) type Fields = Map<String, Value>;

/// Fills in the defaults of an object of this kind.
pub(super) fn apply(kind: Kind, object: &mut Fields, ownership: Ownership) {
    let version = if kind == Kind::DaemonSet {
        "apps/v1"
    } else {
        "v1"
    };
    object.insert("apiVersion".to_owned(), Value::from(version));
    object.insert("kind".to_owned(), Value::from(kind.to_string()));
    metadata(ensure(object, "metadata"), ownership);
    match kind {
        Kind::DaemonSet => {
            if ownership == Ownership::Dropped {
                drop_generation_annotation(object);
                object.insert("status".to_owned(), json!({}));
            }
            daemon_set_spec(ensure(object, "spec"));
        }
        Kind::ConfigMap => {}
        Kind::Secret => default(object, "type", || Value::from("Opaque")),
    }
}

/// Metadata: the namespace, a generated name, and what only a server may write.
fn metadata(metadata: &mut Fields, ownership: Ownership) {
    default(metadata, "namespace", || Value::from("default"));
    metadata.remove("managedFields");
    if ownership == Ownership::Kept {
        return;
    }
    for owned in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        metadata.remove(owned);
    }
    if let (None, Some(prefix)) = (metadata.get("name"), text(metadata, "generateName")) {
        let name = generated_name(prefix);
        metadata.insert("name".to_owned(), Value::from(name));
    }
}

/// The name for a `generateName`.
///
/// Differs: an API server appends five random letters; here they follow from the prefix, so that
/// the same file is the same object every time it is read.
fn generated_name(prefix: &str) -> String {
    let digest = Sha256::digest(prefix.as_bytes());
    let letters = digest
        .iter()
        .take(5)
        .map(|byte| char::from(b'a' + byte % 26));
    let kept: String = prefix.chars().take(58).collect();
    kept.chars().chain(letters).collect()
}

/// Drops the annotation in which an API server keeps the template's generation.
fn drop_generation_annotation(object: &mut Fields) {
    let metadata = ensure(object, "metadata");
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return;
    };
    annotations.remove("deprecated.daemonset.template.generation");
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

fn daemon_set_spec(spec: &mut Fields) {
    default(spec, "revisionHistoryLimit", || Value::from(10));
    let strategy = ensure(spec, "updateStrategy");
    default(strategy, "type", || Value::from("RollingUpdate"));
    let on_delete = text(strategy, "type") == Some("OnDelete");
    if let Some(rolling) = object(strategy, "rollingUpdate").filter(|_| on_delete) {
        // Not used, and not defaulted; but a server's own form of it has both numbers.
        default(rolling, "maxUnavailable", || Value::from(0));
        default(rolling, "maxSurge", || Value::from(0));
    }
    if text(strategy, "type") == Some("RollingUpdate") {
        let rolling = ensure(strategy, "rollingUpdate");
        default(rolling, "maxUnavailable", || Value::from(1));
        default(rolling, "maxSurge", || Value::from(0));
    }
    let template = ensure(spec, "template");
    ensure(template, "metadata");
    pod::apply(ensure(template, "spec"));
}

/// The object in this field; it is made if it is not there.
pub(super) fn ensure<'a>(fields: &'a mut Fields, name: &str) -> &'a mut Fields {
    let slot = fields
        .entry(name)
        .or_insert_with(|| Value::Object(Fields::new()));
    if !slot.is_object() {
        *slot = Value::Object(Fields::new());
    }
    match slot {
        Value::Object(fields) => fields,
        _ => unreachable!("an object was put there just now"),
    }
}

/// Puts a value where there is none.
pub(super) fn default(fields: &mut Fields, name: &str, value: impl FnOnce() -> Value) {
    if !fields.contains_key(name) {
        fields.insert(name.to_owned(), value());
    }
}

/// The text in this field.
pub(super) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// The object in this field.
pub(super) fn object<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name).and_then(Value::as_object_mut)
}

/// The objects in the list in this field.
pub(super) fn objects<'a>(
    fields: &'a mut Fields,
    name: &str,
) -> impl Iterator<Item = &'a mut Fields> + use<'a> {
    let items = fields.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}
