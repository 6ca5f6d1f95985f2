//! What ends the reading of a source. What is wrong with files or the directory is no error: it is
//! in the snapshot.

use std::path::PathBuf;

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel gives no more inotify instances.
    #[error("cannot watch {path}: {source}; raise fs.inotify.max_user_instances",
            path = path.display())]
    Watch {
        /// The manifests directory.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// The thread that reads files panicked, which is a defect of setlet.
    #[error("reading {path} ended unexpectedly: {source}", path = path.display())]
    Panicked {
        /// The manifests directory.
        path: PathBuf,
        /// Why.
        source: tokio::task::JoinError,
    },
}
