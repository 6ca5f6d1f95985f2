//! What can go wrong with a volume, in kubelet's words.

use std::io;
use std::path::{Path, PathBuf};

use crate::blocking::Stopped;
use crate::model::Reason;

/// A volume that could not be made or taken away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A host path is not of the type its volume wants.
    #[error(
        "MountVolume.SetUp failed for volume \"{volume}\" : hostPath type check failed: {} is not \
         a {wanted}",
        path.display()
    )]
    HostPathType {
        /// The volume.
        volume: String,
        /// The path on the host.
        path: PathBuf,
        /// What it should be, in kubelet's words.
        wanted: &'static str,
    },
    /// A ConfigMap or Secret is not there.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {kind} \"{name}\" not found")]
    NotFound {
        /// The volume.
        volume: String,
        /// `configmap` or `secret`.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// A ConfigMap or Secret lacks a key.
    #[error(
        "MountVolume.SetUp failed for volume \"{volume}\" : references non-existent {kind} key: \
         {key}"
    )]
    NoKey {
        /// The volume.
        volume: String,
        /// `config` or `secret`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// The agent cannot have this volume.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {what} is not supported")]
    Unsupported {
        /// The volume.
        volume: String,
        /// What it asks for.
        what: String,
    },
    /// The system refused something.
    #[error(
        "MountVolume.SetUp failed for volume \"{volume}\" : {operation} {}: {source}",
        path.display()
    )]
    Io {
        /// The volume.
        volume: String,
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody waits for the volumes any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Something of an ended pod could not be taken away.
    #[error("{operation} {}: {source}", path.display())]
    Teardown {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Several things of an ended pod could not be taken away; the rest is gone.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
}

impl Error {
    /// Kubernetes' reason for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let word = match self {
            Self::Teardown { .. } | Self::Several(_) => "FailedKillPod",
            _ => "FailedMount",
        };
        Reason::new(word, self.to_string())
    }

    /// Makes an error of what the system said of a path of a volume.
    pub(super) fn io<'a>(
        volume: &'a str,
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            volume: volume.to_owned(),
            operation,
            path: path.to_owned(),
            source,
        }
    }
}
