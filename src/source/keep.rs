//! Keeping on disk what is in force, so that a file broken while the agent is down stops nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::KeptObjects;
use super::directory::{Known, Manifests};
use super::merge::succeed;
use super::read::Reading;
use crate::api::{self, Admitted, Origin};

/// The device number of the directory's filesystem.
const FILESYSTEM: &str = "filesystem";

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

    /// Puts in force what files gave before the agent was started of which it cannot be told whether
    /// they are there. False where it is not known which those are.
    pub(super) fn load_below(&mut self, cannot_tell: &dyn Fn(&Path) -> bool) -> bool {
        let kept = match self.keeper.kept() {
            Ok(kept) => kept,
            Err(error) => {
                self.metrics.keep_errors.inc(&[("operation", "load")]);
                tracing::warn!(%error, "cannot list the last good versions of manifests");
                return false;
            }
        };
        let paths = kept.into_iter().map(PathBuf::from);
        let paths: Vec<PathBuf> = paths
            .filter(|path| cannot_tell(path) && !self.files.contains_key(path))
            .collect();
        for path in paths {
            let reading = Reading {
                admitted: self.load(&path),
                refused: Vec::new(),
            };
            let known = Known {
                contents: succeed(&[], reading),
                ..Known::default()
            };
            self.files.insert(path, known);
            self.changed = true;
        }
        true
    }

    /// On which filesystem the directory was when it last had files, before the agent was started.
    /// It is kept as what the directory's own path gave.
    pub(super) fn load_filesystem(&self) -> Option<u64> {
        let root = self.settings.path.to_string_lossy();
        let kept = self.keeper.load(&root).unwrap_or_default();
        kept.first()?.1[FILESYSTEM].as_u64()
    }

    /// Remembers on which filesystem there are files, over a restart too.
    pub(super) fn note_filesystem(&mut self, root: &Path) {
        let now = self.directories.get(root).map(|directory| directory.id.0);
        let now = now.filter(|_| !self.files.is_empty());
        if now != self.filesystem {
            self.filesystem = now;
            self.unkept.insert(root.to_owned());
        }
    }

    fn kept_filesystem(&self) -> KeptObjects {
        let origin = Origin {
            file: self.settings.path.to_string_lossy().into_owned(),
            document: 1,
            line: 1,
        };
        let value = |device| (origin, json!({ FILESYSTEM: device }));
        self.filesystem.map(value).into_iter().collect()
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
            if *path == self.settings.path {
                return (path.to_string_lossy().into_owned(), self.kept_filesystem());
            }
            let objects = self.files.get(path).map_or_else(Vec::new, |known| {
                let value = |o: &Admitted| (o.origin.clone(), o.object.to_value());
                known.contents.objects().map(value).collect()
            });
            (path.to_string_lossy().into_owned(), objects)
        });
        let mut outcome = self.keeper.keep(&mut entries);
        if outcome.is_ok() {
            for path in batch {
                self.unkept.remove(&path);
            }
            if self.synced && !self.retained && self.unkept.is_empty() {
                let kept = self.files.keys().chain([&self.settings.path]);
                let names: Vec<_> = kept.map(|p| p.to_string_lossy()).collect();
                outcome = self.keeper.retain(&mut names.iter().map(AsRef::as_ref));
                self.retained = outcome.is_ok();
            }
        }
        let failed = outcome.as_ref().err().map(ToString::to_string);
        if let Some(error) = &failed {
            self.metrics.keep_errors.inc(&[("operation", "keep")]);
            // Every try would say the same.
            if self.keep_error != failed {
                tracing::warn!(%error, "cannot keep the last good versions of manifests");
            }
        }
        self.changed |= self.keep_error != failed;
        self.keep_error = failed;
        outcome.is_ok()
    }
}
