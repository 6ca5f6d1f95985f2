//! What can go wrong with the state directory.

use std::io;
use std::path::PathBuf;

use crate::api::Uid;

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory cannot be made or entered.
    #[error("cannot open the state directory {path}: {source}", path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent uses the state directory.
    #[error("the state directory {path} is in use by another agent, {}; stop it, or give this \
             one a `paths.state` of its own", by(*pid), path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other agent's process, where it could be told.
        pid: Option<u32>,
    },
    /// An entry cannot be turned into text.
    #[error("cannot encode {path}: {source}", path = path.display())]
    Encode {
        /// The entry's file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// An entry cannot be written; what was there before still is.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The entry's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An entry cannot be removed.
    #[error("cannot remove {path}: {source}", path = path.display())]
    Remove {
        /// The entry's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory of the store cannot be listed.
    #[error("cannot list {path}: {source}", path = path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A uid that cannot name a file.
    #[error("{:?} is no pod uid", uid.as_str())]
    BadUid {
        /// The uid.
        uid: Uid,
    },
}

impl Error {
    /// What is wrong, without the file that it was found with.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Open { source, .. }
            | Self::Write { source, .. }
            | Self::Remove { source, .. }
            | Self::List { source, .. } => source.to_string(),
            Self::Encode { source, .. } => source.to_string(),
            Self::Locked { .. } | Self::BadUid { .. } => self.to_string(),
        }
    }
}

/// An entry that could not be read. The rest of the store is not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}{}", aside(moved_to.as_ref()), path = path.display())]
pub struct Corrupt {
    /// The entry's file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Where it was moved, so that it is not read again and can be looked at.
    pub moved_to: Option<PathBuf>,
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "whose pid is not known".to_owned(),
        |pid| format!("pid {pid}"),
    )
}

fn aside(moved_to: Option<&PathBuf>) -> String {
    moved_to.map_or_else(String::new, |path| format!("; moved to {}", path.display()))
}
