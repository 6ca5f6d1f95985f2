//! What the sources want, as one value: the sets, the objects beside them, and what was refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::{Deserialize, Serialize};

use crate::api::daemonset::DaemonSet;
use crate::api::{ObjectKey, Origin};

/// Everything the sources say, published as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The DaemonSets, each once, with where it was read.
    pub sets: BTreeMap<ObjectKey, (Arc<DaemonSet>, Origin)>,
    /// The ConfigMaps.
    pub config_maps: BTreeMap<ObjectKey, Arc<ConfigMap>>,
    /// The Secrets.
    pub secrets: BTreeMap<ObjectKey, Arc<Secret>>,
    /// Documents that were refused, duplicates among them.
    pub refused: Vec<Refused>,
    /// Files that were left unread, and why.
    pub unread: Vec<Unread>,
    /// Whether the sources are in order.
    pub condition: SourceCondition,
    /// Whether every source was read whole since the start. A snapshot that is not synced ends
    /// nothing.
    pub synced: bool,
    /// Why what is in force could not be kept on disk, while that is so: a file that is broken while
    /// the agent is down would have no last good version.
    pub unkept: Option<String>,
}

/// A document that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it stands.
    pub origin: Origin,
    /// Kind and key, as far as they could be read, for example `DaemonSet default/a`.
    pub object: Option<String>,
    /// The DaemonSet it would have been, where it would have been one.
    pub set: Option<ObjectKey>,
    /// Whether an earlier version of the object goes on in its place.
    pub last_good: bool,
    /// Every error in one line each, as `file:line:column: field: what`.
    pub errors: Vec<String>,
}

/// A file in the manifests directory that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The file's path.
    pub path: String,
    /// Why, for example "its name does not end in .yaml, .yml or .json".
    pub why: String,
}

/// Whether a source could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceCondition {
    /// Not read yet.
    #[default]
    Pending,
    /// Read whole.
    Ready,
    /// Not readable now, for this reason; what runs goes on.
    Unreadable(String),
}
