//! Kubernetes objects as this agent accepts them; [`admit`] is the only door.
//!
//! Text goes in, admitted objects come out, each already decoded strictly, defaulted and validated
//! as kube-apiserver v1.36 does it. Nothing here reads files, clocks or the network.

pub mod names;

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

pub use names::{ContainerName, Kind, ObjectKey, ObjectRef, PodKey, Revision, Uid};

/// Line and column of a value in its file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
