//! The way of one document through the checks, in the reference's order: type, decode, strict,
//! defaults, validation. Syntax comes before, in [`super::decode`].

use std::ops::ControlFlow;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::decode::Dialect;
use super::decode::tree::{Shape, Tree};
use super::error::{Cause, FieldError, MAX_ERRORS, Refusal, Rejected};
use super::names::{Kind, ObjectKey, ObjectRef};
use super::{Admitted, DaemonSet, Object, Origin, decode, defaults, schema, validate};

/// The most documents of one file, the items of a `List` counted.
const MAX_DOCUMENTS: usize = 10_000;
/// When so many errors of one file are told, documents that follow tell of their first.
const MAX_FILE_ERRORS: usize = 1_000;
/// The largest object, in bytes of JSON: what kube-apiserver takes in one request
/// (`MaxRequestBodyBytes`, staging/src/k8s.io/apiserver/pkg/server/config.go).
const MAX_OBJECT_BYTES: u64 = 3 << 20;
/// The most fields and items of an object. Each takes a hundred times its bytes in memory, and no
/// object comes near.
const MAX_OBJECT_ITEMS: u64 = 125_000;

/// What becomes of the metadata that an API server owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It is dropped, as the server does with what a client sends.
    Dropped,
    /// It is kept: the object comes from a server.
    Kept,
}

/// What became of a file's documents, within bounds.
#[derive(Default)]
pub(super) struct Results {
    pub(super) all: Vec<Result<Admitted, Rejected>>,
    errors: usize,
}

impl Results {
    /// Takes what became of one document; breaks off where there are too many of them.
    pub(super) fn take(&mut self, mut result: Result<Admitted, Rejected>) -> ControlFlow<()> {
        if self.all.len() == MAX_DOCUMENTS {
            let (Ok(Admitted { origin, .. }) | Err(Rejected { origin, .. })) = result;
            let message = format!(
                "the file has more than {MAX_DOCUMENTS} documents; what follows is not read. Put it \
                 into another file"
            );
            // Of no object, so that whatever the file had before stays.
            self.all.push(Err(Rejected {
                errors: vec![FieldError::new("", Cause::TooMany, message)],
                origin,
                object: None,
                refusal: Refusal::Syntax,
            }));
            return ControlFlow::Break(());
        }
        if let Err(rejected) = &mut result {
            if self.errors > MAX_FILE_ERRORS && rejected.errors.len() > 1 {
                rejected.errors.truncate(1);
                rejected.errors.push(more());
            }
            self.errors += rejected.errors.len();
        }
        self.all.push(result);
        ControlFlow::Continue(())
    }
}

pub(super) fn admit_document(
    origin: &Origin,
    tree: &Tree,
    results: &mut Results,
) -> ControlFlow<()> {
    let is_list = tree.get("kind").and_then(Tree::text) == Some("List")
        && tree.get("apiVersion").and_then(Tree::text) == Some("v1");
    if !is_list {
        return results.take(admit_tree(origin.clone(), tree, Ownership::Dropped));
    }
    if let Some(rejected) = check_list(origin, tree) {
        results.take(Err(rejected))?;
    }
    let Some(Shape::List(items)) = tree.get("items").map(Tree::resolved) else {
        return ControlFlow::Continue(());
    };
    for item in items {
        let origin = Origin {
            line: item.position.line,
            ..origin.clone()
        };
        results.take(admit_tree(origin, item, Ownership::Dropped))?;
    }
    ControlFlow::Continue(())
}

/// What is wrong with a `List` apart from its items.
fn check_list(origin: &Origin, tree: &Tree) -> Option<Rejected> {
    let Shape::Map(entries) = tree.resolved() else {
        return None;
    };
    let mut errors = Vec::new();
    for entry in entries {
        if errors.len() <= MAX_ERRORS
            && !["apiVersion", "kind", "metadata", "items"].contains(&entry.key.as_str())
        {
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
    limit(&mut errors);
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
            limit(&mut errors);
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

/// What is said of an object that is larger than any should be.
fn too_large(tree: &Tree) -> Option<FieldError> {
    let size = tree.measure();
    let message = if size.bytes > MAX_OBJECT_BYTES {
        format!(
            "the object is larger than {} MiB, the most kube-apiserver takes; split it",
            MAX_OBJECT_BYTES >> 20
        )
    } else if size.values / 2 > MAX_OBJECT_ITEMS {
        format!("the object has more than {MAX_OBJECT_ITEMS} fields and items; split it")
    } else {
        return None;
    };
    Some(FieldError::new("", Cause::TooLong, message))
}

/// Leaves as many errors as are told of one document, and says when there are more.
fn limit(errors: &mut Vec<FieldError>) {
    if errors.len() > MAX_ERRORS {
        errors.truncate(MAX_ERRORS);
        errors.push(more());
    }
}

/// That not every error is told.
fn more() -> FieldError {
    let message = "there are more errors than are told here; mend these first";
    FieldError::new("", Cause::TooMany, message)
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
    if ownership == Ownership::Dropped
        && let Some(error) = too_large(tree)
    {
        return Err((Refusal::Decode, vec![error]));
    }
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
