//! Where DaemonSets come from: today a directory of manifests. Sources turn what they read into one
//! [`Snapshot`] and publish it; what is refused keeps its last good version.
//!
//! An object belongs to the first file that has it, in path order. Precedence among sources:
//! the directory before everything else, because whoever can write it is root on this node.

mod combine;
mod directory;
mod error;
mod files;
mod keep;
mod merge;
mod reach;
mod read;
mod task;
mod walk;
mod watcher;
mod writers;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use crate::api::Origin;
use crate::metrics::{Counter, Gauge, Histogram, Metrics};

pub use combine::{combine, describe};
pub use error::Error;
pub use task::{Inputs, watch_directory};

/// What the manifests directory is and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory.
    pub path: PathBuf,
    /// How often it is read again though no event said so.
    pub rescan_interval: Duration,
    /// Who may be able to write a manifest.
    pub writers: Writers,
}

/// Who may be able to write a manifest or its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Root, and the user the agent runs as.
    RootOnly,
    /// Anyone.
    Anyone,
}

/// Objects of a manifest file as they are kept on disk: where each stood, and the object.
pub type KeptObjects = Vec<(Origin, serde_json::Value)>;

/// An error of whatever keeps the last good objects.
pub type KeepError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the last good objects of manifest files across restarts of the agent. Called from a
/// thread that may block.
pub trait LastGood: Send + 'static {
    /// What a file last gave; empty where nothing is kept.
    ///
    /// # Errors
    ///
    /// What is kept cannot be read.
    fn load(&self, file: &str) -> Result<KeptObjects, KeepError>;

    /// Every file that something is kept of.
    ///
    /// # Errors
    ///
    /// What is kept cannot be listed, or an entry cannot be read.
    fn kept(&self) -> Result<Vec<String>, KeepError>;

    /// Keeps what some files gave; one without objects is forgotten. Durable on return.
    ///
    /// # Errors
    ///
    /// It cannot be written; what was kept before is still there.
    fn keep(&self, files: &mut dyn Iterator<Item = (String, KeptObjects)>)
    -> Result<(), KeepError>;

    /// Forgets every file but these.
    ///
    /// # Errors
    ///
    /// Some could not be removed.
    fn retain(&self, files: &mut dyn Iterator<Item = &str>) -> Result<(), KeepError>;
}

/// The source's metrics.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    files: Gauge,
    refused: Gauge,
    readable: Gauge,
    reads: Counter,
    scan_seconds: Histogram,
    overflows: Counter,
    keep_errors: Counter,
}

impl SourceMetrics {
    /// Makes the metrics; once for a registry.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            files: metrics.gauge("manifest_files", "Manifest files in the directory."),
            refused: metrics.gauge("manifests_refused", "Documents that are refused."),
            readable: metrics.gauge(
                "manifests_directory_readable",
                "Whether the manifests directory could be read whole at the last scan.",
            ),
            reads: metrics.counter("manifest_file_reads", "Manifest files read."),
            scan_seconds: metrics.histogram(
                "manifests_scan_seconds",
                "Time to scan the manifests directory and read what changed.",
            ),
            overflows: metrics.counter(
                "manifests_event_overflows",
                "Times that file events were lost and everything was scanned.",
            ),
            keep_errors: metrics.counter(
                "manifests_last_good_errors",
                "Last good objects that could not be written or read.",
            ),
        }
    }
}
