//! Kubernetes objects as this agent accepts them; [`admit`] is the only door.
//!
//! Text goes in, admitted objects come out, each already decoded strictly, defaulted and validated
//! as kube-apiserver v1.36 does it. Nothing here reads files, clocks or the network.

mod admission;
pub mod after;
pub mod daemonset;
mod decode;
mod defaults;
mod duration;
mod error;
mod image;
pub mod names;
pub mod pod;
pub mod quantity;
pub mod revisions;
mod schema;
pub mod selector;
#[cfg(test)]
mod tests;
mod time;
mod unsupported;
pub mod update;
mod validate;
mod yaml;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::Value;

pub use after::Condition;
pub use daemonset::DaemonSet;
pub use duration::{duration, signed_duration};
pub use error::{Cause, FieldError, Refusal, Rejected};
pub use image::{ImageName, is_digest};
pub use names::{ContainerName, Kind, ObjectKey, ObjectRef, PodKey, Revision, Uid};
pub use quantity::Quantity;
pub use time::rfc3339;
pub use yaml::to_yaml;

use admission::{Ownership, Results, admit_document, admit_tree};

/// The largest manifest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 10 << 20;

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

    /// Whether it says that its data may not change (`immutable`).
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        let immutable = match self {
            Self::DaemonSet(_) => None,
            Self::ConfigMap(map) => map.immutable,
            Self::Secret(secret) => secret.immutable,
        };
        immutable == Some(true)
    }

    /// The object as JSON, which [`admit_value`] takes back.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::DaemonSet(set) => serde_json::to_value(set.object()).map(without_empty_names),
            Self::ConfigMap(map) => serde_json::to_value(map.as_ref()),
            Self::Secret(secret) => serde_json::to_value(secret.as_ref()),
        };
        value.unwrap_or_default()
    }
}

/// The set without the empty names that the API's own types write where a server writes nothing.
fn without_empty_names(mut set: Value) -> Value {
    let secrets = set.pointer_mut("/spec/template/spec/imagePullSecrets");
    for secret in secrets.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(secret) = secret {
            secret.retain(|key, name| key != "name" || *name != "");
        }
    }
    set
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
    let mut results = Results::default();
    let _ = decode::documents::each(file, text, &mut |document| {
        let origin = Origin {
            file: file.to_owned(),
            document: document.number,
            line: document.line,
        };
        match document.tree {
            Ok(tree) if tree.is_null() => ControlFlow::Continue(()),
            Ok(tree) => admit_document(&origin, &tree, &mut results),
            Err((message, position)) => {
                let error = FieldError::new("", Cause::Unreadable, message).at(Some(position));
                results.take(Err(Rejected {
                    origin,
                    object: None,
                    refusal: Refusal::Syntax,
                    errors: vec![error],
                }))
            }
        }
    });
    results.all
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
