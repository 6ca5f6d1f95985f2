//! The way of one document through the checks, in the reference's order: type, decode, strict,
//! defaults, validation. Syntax comes before, in [`super::decode`].

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::decode::Dialect;
use super::decode::tree::{Shape, Tree};
use super::error::{Cause, FieldError, Refusal, Rejected};
use super::names::{Kind, ObjectKey, ObjectRef};
use super::{Admitted, DaemonSet, Object, Origin, decode, defaults, schema, validate};

/// What becomes of the metadata that an API server owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It is dropped, as the server does with what a client sends.
    Dropped,
    /// It is kept: the object comes from a server.
    Kept,
}

pub(super) fn admit_document(
    origin: &Origin,
    tree: &Tree,
    results: &mut Vec<Result<Admitted, Rejected>>,
) {
    let is_list = tree.get("kind").and_then(Tree::text) == Some("List")
        && tree.get("apiVersion").and_then(Tree::text) == Some("v1");
    if !is_list {
        results.push(admit_tree(origin.clone(), tree, Ownership::Dropped));
        return;
    }
    if let Some(rejected) = check_list(origin, tree) {
        results.push(Err(rejected));
    }
    let Some(Shape::List(items)) = tree.get("items").map(Tree::resolved) else {
        return;
    };
    for item in items {
        let origin = Origin {
            line: item.position.line,
            ..origin.clone()
        };
        results.push(admit_tree(origin, item, Ownership::Dropped));
    }
}

/// What is wrong with a `List` apart from its items.
fn check_list(origin: &Origin, tree: &Tree) -> Option<Rejected> {
    let Shape::Map(entries) = tree.resolved() else {
        return None;
    };
    let mut errors = Vec::new();
    for entry in entries {
        if !["apiVersion", "kind", "metadata", "items"].contains(&entry.key.as_str()) {
            let error =
                FieldError::new(&entry.key, Cause::Unknown, "there is no such field in List");
            errors.push(error.at(Some(entry.position)));
        }
    }
    let mut refusal = Refusal::Strict;
    if let Some(items) = tree.get("items")
        && !matches!(items.resolved(), Shape::List(_) | Shape::Null)
    {
        refusal = Refusal::Decode;
        let error = FieldError::new("items", Cause::TypeInvalid, "must be a list of objects");
        errors = vec![error.at(Some(items.position))];
    }
    let origin = origin.clone();
    (!errors.is_empty()).then_some(Rejected {
        origin,
        object: None,
        refusal,
        errors,
    })
}

pub(super) fn admit_tree(
    origin: Origin,
    tree: &Tree,
    ownership: Ownership,
) -> Result<Admitted, Rejected> {
    let kind = match identify(tree) {
        Ok(kind) => kind,
        Err(error) => {
            let errors = vec![located(error, tree)];
            return Err(Rejected {
                origin,
                object: None,
                refusal: Refusal::Type,
                errors,
            });
        }
    };
    let json = ownership == Ownership::Kept || origin.file.ends_with(".json");
    let dialect = if json { Dialect::Json } else { Dialect::Yaml };
    match checked(kind, tree, ownership, dialect) {
        Ok(object) => Ok(Admitted { origin, object }),
        Err((refusal, errors)) => {
            let located = errors.into_iter().map(|error| located(error, tree));
            let mut errors: Vec<FieldError> = located.collect();
            errors.sort_by_key(|error| error.position);
            let object = reference(tree, kind);
            Err(Rejected {
                origin,
                object,
                refusal,
                errors,
            })
        }
    }
}

/// The object, or the errors of the first kind it has.
fn checked(
    kind: Kind,
    tree: &Tree,
    ownership: Ownership,
    dialect: Dialect,
) -> Result<Object, (Refusal, Vec<FieldError>)> {
    let table = match kind {
        Kind::DaemonSet => &schema::DAEMON_SET,
        Kind::ConfigMap => &schema::CONFIG_MAP,
        Kind::Secret => &schema::SECRET,
    };
    let mut decoded = decode::decode(tree, table, dialect);
    if kind == Kind::DaemonSet {
        decoded.decode.extend(template_generation(tree));
    }
    if !decoded.decode.is_empty() {
        return Err((Refusal::Decode, decoded.decode));
    }
    if !decoded.strict.is_empty() {
        return Err((Refusal::Strict, decoded.strict));
    }
    let mut value = decoded.value;
    defaults::apply(kind, &mut value, ownership);
    let value = Value::Object(value);
    let errors = validate::validate(kind, &value);
    if !errors.is_empty() {
        return Err((Refusal::Validation, errors));
    }
    typed(kind, value).map_err(|message| {
        (
            Refusal::Decode,
            vec![FieldError::new("", Cause::TypeInvalid, message)],
        )
    })
}

/// The error with the position of its field, if it has none yet.
fn located(error: FieldError, tree: &Tree) -> FieldError {
    match error.position {
        Some(_) => error,
        None => {
            let position = tree.locate(&error.field);
            error.at(position)
        }
    }
}

/// Which kind the document says it is.
fn identify(tree: &Tree) -> Result<Kind, FieldError> {
    if !matches!(tree.resolved(), Shape::Map(_)) {
        let message = "the document must be an object with apiVersion, kind and metadata";
        return Err(FieldError::new("", Cause::TypeInvalid, message));
    }
    let field = |name: &str| match tree.get(name) {
        None => Ok(""),
        Some(value) if value.is_null() => Ok(""),
        Some(value) => match value.text() {
            Some(text) => Ok(text),
            None => Err(FieldError::new(name, Cause::TypeInvalid, "must be text")),
        },
    };
    let (version, kind) = (field("apiVersion")?, field("kind")?);
    let taken = "the agent takes DaemonSet (apps/v1), ConfigMap (v1) and Secret (v1)";
    let (found, wanted) = match kind {
        "DaemonSet" => (Kind::DaemonSet, "apps/v1"),
        "ConfigMap" => (Kind::ConfigMap, "v1"),
        "Secret" => (Kind::Secret, "v1"),
        "" => {
            let message = format!("the kind is missing; {taken}");
            return Err(FieldError::new("kind", Cause::Required, message));
        }
        other => {
            let message = format!("{other} ({version}) is not taken; {taken}");
            return Err(FieldError::new("kind", Cause::NotSupported, message));
        }
    };
    if version == wanted {
        return Ok(found);
    }
    let (cause, what) = match version {
        "" => (Cause::Required, "is missing".to_owned()),
        other => (Cause::NotSupported, format!("{other:?} has no {kind}")),
    };
    Err(FieldError::new(
        "apiVersion",
        cause,
        format!("{what}; {kind} needs apiVersion: {wanted}"),
    ))
}

/// What is wrong with the annotation in which a server counts the template's changes.
fn template_generation(tree: &Tree) -> Option<FieldError> {
    const NAME: &str = "deprecated.daemonset.template.generation";
    let text = tree
        .get("metadata")?
        .get("annotations")?
        .get(NAME)?
        .text()?;
    let message = format!("{text:?} must be a whole number; better, remove the annotation");
    let field = format!("metadata.annotations[{NAME}]");
    let wrong = text.parse::<i64>().is_err();
    wrong.then(|| FieldError::new(field, Cause::TypeInvalid, message))
}

/// Kind, namespace and name as far as they can be read.
fn reference(tree: &Tree, kind: Kind) -> Option<ObjectRef> {
    let metadata = tree.get("metadata")?;
    let name = metadata
        .get("name")
        .and_then(Tree::text)
        .filter(|name| !name.is_empty())?;
    let namespace = metadata
        .get("namespace")
        .and_then(Tree::text)
        .filter(|ns| !ns.is_empty());
    Some(ObjectRef {
        kind,
        key: ObjectKey::new(namespace.unwrap_or("default"), name),
    })
}

/// The object of the API's own types.
fn typed(kind: Kind, value: Value) -> Result<Object, String> {
    match kind {
        Kind::DaemonSet => DaemonSet::from_valid(value).map(|set| Object::DaemonSet(Arc::new(set))),
        Kind::ConfigMap => from_value(value).map(|map| Object::ConfigMap(Arc::new(map))),
        Kind::Secret => from_value(value).map(|secret| {
            let mut secret: Secret = secret;
            for (key, text) in secret.string_data.take().unwrap_or_default() {
                let bytes = k8s_openapi::ByteString(text.into_bytes());
                secret.data.get_or_insert_default().insert(key, bytes);
            }
            Object::Secret(Arc::new(secret))
        }),
    }
}

/// A JSON value as one of the API's own types.
pub(super) fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("cannot be decoded: {error}"))
}
