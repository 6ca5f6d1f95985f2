//! Keeping on disk what is in force, so that a file broken while the agent is down stops nothing.

use std::path::{Path, PathBuf};

use super::directory::Manifests;
use crate::api::{self, Admitted};

impl Manifests {
    /// What a file gave before the agent was started, as far as it is still acceptable.
    pub(super) fn load(&self, path: &Path) -> Vec<Admitted> {
        let kept = self.keeper.load(&path.to_string_lossy());
        let kept = kept.unwrap_or_else(|error| {
            self.metrics.keep_errors.inc(&[("operation", "load")]);
            tracing::warn!(file = %path.display(), %error, "cannot read its last good version");
            Vec::new()
        });
        kept.into_iter()
            .filter_map(|(origin, value)| api::admit_value(origin, value).ok())
            .collect()
    }

    /// Whether something is to be kept on disk.
    pub(super) fn has_unkept(&self) -> bool {
        !self.unkept.is_empty() || (self.synced && !self.retained)
    }

    /// Keeps on disk what is in force, at most this many files. False where it failed; it is tried
    /// again when this is called again.
    pub(super) fn keep(&mut self, most: usize) -> bool {
        let batch: Vec<PathBuf> = self.unkept.iter().take(most).cloned().collect();
        let mut entries = batch.iter().map(|path| {
            let objects = self.files.get(path).map_or_else(Vec::new, |known| {
                let value = |o: &Admitted| (o.origin.clone(), o.object.to_value());
                known.contents.objects().map(value).collect()
            });
            (path.to_string_lossy().into_owned(), objects)
        });
        let mut kept = self.keeper.keep(&mut entries);
        if kept.is_ok() {
            for path in batch {
                self.unkept.remove(&path);
            }
            if self.synced && !self.retained && self.unkept.is_empty() {
                let names: Vec<_> = self.files.keys().map(|p| p.to_string_lossy()).collect();
                kept = self.keeper.retain(&mut names.iter().map(AsRef::as_ref));
                self.retained = kept.is_ok();
            }
        }
        if let Err(error) = &kept {
            self.metrics.keep_errors.inc(&[("operation", "keep")]);
            tracing::warn!(%error, "cannot keep the last good versions of manifests");
        }
        kept.is_ok()
    }
}
