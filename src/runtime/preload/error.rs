//! What can be wrong with an archive, or with the way from it into containerd.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tonic::Status;

use crate::blocking::{Stopped, Unanswered};
use crate::model::{Reason, defect};
use crate::runtime::image::UnpackError;

/// Why an archive, or all of them, could not be imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it cannot be read: {0}")]
    Read(#[source] std::io::Error),
    #[error("it is no image archive, or a broken one: {0}")]
    Tar(#[source] std::io::Error),
    #[error("it is cut short within {path}")]
    CutShort { path: String },
    #[error(
        "{what} is packed with {packer}, which containerd cannot read; pack it with gzip or zstd"
    )]
    Packed { what: String, packer: &'static str },
    #[error("it is no image archive: {what} in it has {bytes} bytes")]
    Long { what: &'static str, bytes: u64 },
    #[error("it is no image archive: the names in it have more than {0} bytes")]
    Members(u64),
    #[error("it names more than {0} images")]
    Names(usize),
    #[error("it is no image archive: the holes in its files have more than {0} bytes")]
    Zeros(u64),
    #[error("it has neither index.json nor manifest.json: it is no docker or OCI archive")]
    NoIndex,
    #[error("{path} in it cannot be understood: {source}")]
    Json {
        path: String,
        source: serde_json::Error,
    },
    #[error("{path} in it cannot be understood: it should be JSON of at most 4 MiB")]
    NotJson { path: String },
    #[error("{path} in it is not what it is called: {said:?} is not its media type")]
    Kind { path: String, said: String },
    #[error("it lacks {what}, which its manifests name")]
    Missing { what: String },
    #[error("{path} in it is not what its name says: its digest is {digest}")]
    Digest { path: String, digest: String },
    #[error("{path} in it names {ids} layers (rootfs.diff_ids), but its manifest {layers}")]
    Layers {
        path: String,
        ids: usize,
        layers: usize,
    },
    #[error("{name} in it is for another platform: {has}; this machine is {wants}")]
    Platform {
        name: String,
        has: String,
        wants: String,
    },
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
    #[error("{name} in it cannot be unpacked: {source}")]
    Unpack {
        name: String,
        #[source]
        source: UnpackError,
    },
    #[error("{0}")]
    Defect(String),
    #[error("containerd has {name} now, and its CRI does not list it")]
    NotListed { name: String },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Problem {
    /// Whether the archive may be as good as any: another try can help though it is the same.
    pub fn is_containerds(&self) -> bool {
        match self {
            Self::Unpack { source, .. } => source.is_containerds(),
            Self::Containerd { .. } | Self::Stopped(_) | Self::Unanswered(_) => true,
            _ => false,
        }
    }

    /// Whether it says nothing of the other images in the archive.
    pub fn is_of_one_image(&self) -> bool {
        matches!(
            self,
            Self::Json { .. }
                | Self::NotJson { .. }
                | Self::Kind { .. }
                | Self::Missing { .. }
                | Self::Digest { .. }
                | Self::Layers { .. }
                | Self::Packed { .. }
                | Self::BadName(_)
        )
    }

    /// Whether it says that an image of this name is for another platform.
    pub fn is_of(&self, image: &str) -> bool {
        matches!(self, Self::Platform { name, .. } if name == image)
    }

    /// For status.
    pub fn reason(&self, archive: &str) -> Reason {
        Reason::new("ImageArchiveNotImported", format!("{archive}: {self}"))
    }
}

/// The import, or the defect that ended it: it costs the archive that it is met with, and no other.
pub(super) async fn guarded<T>(
    import: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let done = AssertUnwindSafe(import).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(Problem::Defect(defect(&*panic))))
}

/// Names what was done when containerd failed.
pub(super) fn while_doing(doing: &'static str) -> impl Fn(Status) -> Problem {
    move |source| Problem::Containerd {
        doing,
        source: Box::new(source),
    }
}
