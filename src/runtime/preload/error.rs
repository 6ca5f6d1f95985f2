//! What can be wrong with an archive, or with the way from it into containerd.

use tonic::Status;

use crate::model::Reason;

/// Why an archive, or all of them, could not be imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it cannot be read: {0}")]
    Read(#[source] std::io::Error),
    #[error("it is no image archive, or a broken one: {0}")]
    Tar(#[source] std::io::Error),
    #[error("it is cut short within {path}")]
    CutShort { path: String },
    #[error("it has neither index.json nor manifest.json: it is no docker or OCI archive")]
    NoIndex,
    #[error("{path} in it cannot be understood: {source}")]
    Json {
        path: String,
        source: serde_json::Error,
    },
    #[error("it lacks {what}, which its manifests name")]
    Missing { what: String },
    #[error("{path} in it is not what its name says: its digest is {digest}")]
    Digest { path: String, digest: String },
    #[error("it does not name its images; save them by a full name, such as registry/app:v1")]
    NoName,
    #[error("it names an image {0}")]
    BadName(String),
    #[error("{name} is brought by {by} already")]
    Duplicate { name: String, by: String },
    #[error("containerd failed while {doing}: {}", source.message())]
    Containerd {
        doing: &'static str,
        source: Box<Status>,
    },
    #[error("containerd has {name} now, and its CRI does not list it")]
    NotListed { name: String },
}

impl Problem {
    /// Whether the archive may be as good as any: another try can help though it is the same.
    pub fn is_containerds(&self) -> bool {
        matches!(self, Self::Containerd { .. } | Self::NotListed { .. })
    }

    /// For status.
    pub fn reason(&self, archive: &str) -> Reason {
        Reason::new("ImageArchiveNotImported", format!("{archive}: {self}"))
    }
}

/// Names what was done when containerd failed.
pub(super) fn while_doing(doing: &'static str) -> impl Fn(Status) -> Problem {
    move |source| Problem::Containerd {
        doing,
        source: Box::new(source),
    }
}
