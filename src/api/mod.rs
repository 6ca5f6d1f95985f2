//! Kubernetes objects as this agent accepts them; [`admit`] is the only door.
//!
//! Text goes in, admitted objects come out, each already decoded strictly, defaulted and validated
//! as kube-apiserver v1.36 does it. Nothing here reads files, clocks or the network.

pub mod daemonset;
mod decode;
mod defaults;
mod error;
pub mod names;
pub mod pod;
pub mod quantity;
pub mod revisions;
mod schema;
pub mod selector;
pub mod update;
mod validate;

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::Value;

pub use daemonset::DaemonSet;
pub use error::{Cause, FieldError, Refusal, Rejected};
pub use names::{ContainerName, Kind, ObjectKey, ObjectRef, PodKey, Revision, Uid};
pub use quantity::Quantity;

use decode::tree::{Shape, Tree};

/// Line and column of a value in its file, both counted from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Where a document was read: its file, its number in the file (from 1) and where it begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The file's path as it was given.
    pub file: String,
    /// The document's number in the file, from 1; items of a `List` share their document's.
    pub document: usize,
    /// The line where the object begins, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// An object that may be used, and where it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// Where it was read.
    pub origin: Origin,
    /// The object, defaulted and valid.
    pub object: Object,
}

/// The kinds of object the agent takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A set of pods to run here.
    DaemonSet(Arc<DaemonSet>),
    /// Configuration for sets to refer to.
    ConfigMap(Arc<ConfigMap>),
    /// Secret configuration for sets to refer to; `stringData` is merged into `data`.
    Secret(Arc<Secret>),
}

impl Object {
    /// The object's kind and key.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        let (kind, metadata) = match self {
            Self::DaemonSet(set) => {
                return ObjectRef {
                    kind: Kind::DaemonSet,
                    key: set.key().clone(),
                };
            }
            Self::ConfigMap(map) => (Kind::ConfigMap, &map.metadata),
            Self::Secret(secret) => (Kind::Secret, &secret.metadata),
        };
        let key = ObjectKey::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        ObjectRef { kind, key }
    }

    /// The object as JSON, which [`admit_value`] takes back.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::DaemonSet(set) => serde_json::to_value(set.object()),
            Self::ConfigMap(map) => serde_json::to_value(map.as_ref()),
            Self::Secret(secret) => serde_json::to_value(secret.as_ref()),
        };
        value.unwrap_or_default()
    }
}

/// Reads every document of a file: YAML, or JSON where the file's name ends in `.json`.
///
/// Each document is decoded strictly, defaulted and validated by itself; the items of a `List` are
/// taken as documents of their own. Empty documents are passed over. A document that cannot be read
/// is refused, and those around it are still admitted.
///
/// Differs: kube-apiserver takes one document a request, no `List`, and refuses an object without
/// a namespace where the URL names none; a file may hold several, and the namespace is `default`.
#[must_use]
pub fn admit(file: &str, text: &[u8]) -> Vec<Result<Admitted, Rejected>> {
    let mut results = Vec::new();
    for document in decode::documents::split(file, text) {
        let origin = Origin {
            file: file.to_owned(),
            document: document.number,
            line: document.line,
        };
        match document.tree {
            Ok(tree) if tree.is_null() => {}
            Ok(tree) => admit_document(&origin, &tree, &mut results),
            Err((message, position)) => {
                let error = FieldError::new("", Cause::Unreadable, message).at(Some(position));
                let refusal = Refusal::Syntax;
                results.push(Err(Rejected {
                    origin,
                    object: None,
                    refusal,
                    errors: vec![error],
                }));
            }
        }
    }
    results
}

/// Admits one object that is already JSON: from the store of last good objects or an API server.
///
/// Unlike in [`admit`], the metadata an API server owns (uid, generation, resource version) is kept.
///
/// # Errors
/// The first kind of error the object has, and all errors of that kind.
pub fn admit_value(origin: Origin, value: Value) -> Result<Admitted, Rejected> {
    admit_tree(origin, &decode::tree::from_value(value), Ownership::Kept)
}

/// What becomes of the metadata that an API server owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// It is dropped, as the server does with what a client sends.
    Dropped,
    /// It is kept: the object comes from a server.
    Kept,
}

fn admit_document(origin: &Origin, tree: &Tree, results: &mut Vec<Result<Admitted, Rejected>>) {
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

fn admit_tree(origin: Origin, tree: &Tree, ownership: Ownership) -> Result<Admitted, Rejected> {
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
    let object = reference(tree, kind);
    let refuse = |refusal, mut errors: Vec<FieldError>| {
        errors = errors
            .into_iter()
            .map(|error| located(error, tree))
            .collect();
        errors.sort_by_key(|error| error.position);
        Rejected {
            origin: origin.clone(),
            object: object.clone(),
            refusal,
            errors,
        }
    };
    let table = match kind {
        Kind::DaemonSet => &schema::DAEMON_SET,
        Kind::ConfigMap => &schema::CONFIG_MAP,
        Kind::Secret => &schema::SECRET,
    };
    let decoded = decode::decode(tree, table);
    if !decoded.decode.is_empty() {
        return Err(refuse(Refusal::Decode, decoded.decode));
    }
    if !decoded.strict.is_empty() {
        return Err(refuse(Refusal::Strict, decoded.strict));
    }
    let mut value = decoded.value;
    defaults::apply(kind, &mut value, ownership);
    let value = Value::Object(value);
    let errors = validate::validate(kind, &value);
    if !errors.is_empty() {
        return Err(refuse(Refusal::Validation, errors));
    }
    match typed(kind, value) {
        Ok(object) => Ok(Admitted { origin, object }),
        Err(message) => {
            let error = FieldError::new("", Cause::TypeInvalid, message);
            Err(refuse(Refusal::Decode, vec![error]))
        }
    }
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

fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("cannot be decoded: {error}"))
}
