//! The last good objects of every manifest file: one entry a file, named by the hash of its path.
//!
//! Entries of many files are written together with one sync of the filesystem: ten thousand
//! manifests would otherwise mean ten thousand syncs at the first start. They hold Secrets too, so
//! they are readable by root only, as everything here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Corrupt, Error, Store, envelope, write};
use crate::api::Origin;

/// What one manifest file last gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastGoodFile {
    /// The manifest file's path.
    pub file: String,
    /// Its objects, each with where it stood, as the API server would return it.
    pub objects: Vec<(Origin, serde_json::Value)>,
}

impl Store {
    /// What a manifest file last gave; `None` where nothing is kept of it.
    ///
    /// # Errors
    ///
    /// The entry is damaged; it is moved aside.
    pub fn last_good(&self, file: &str) -> Result<Option<LastGoodFile>, Corrupt> {
        let entry: Option<LastGoodFile> = Self::get(&self.last_good_file(file), envelope::unseal)?;
        Ok(entry.filter(|entry| entry.file == file))
    }

    /// Every manifest file that something is kept of.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed, or an entry is damaged; that is moved aside.
    pub fn last_good_names(&self) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let entries = write::entries(&self.last_good).map_err(|source| Error::List {
            path: self.last_good.clone(),
            source,
        })?;
        let mut names = Vec::new();
        for path in entries {
            let entry: Option<LastGoodFile> =
                Self::get(&path, envelope::unseal).map_err(|corrupt| corrupt.to_string())?;
            names.extend(entry.map(|entry| entry.file));
        }
        Ok(names)
    }

    /// Keeps what some manifest files last gave; an entry that is the same already is not written.
    /// A file without objects is forgotten. When this returns all of it is durable.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be written; the earlier ones may be or not be in force.
    pub fn put_last_good(
        &self,
        files: impl IntoIterator<Item = LastGoodFile>,
    ) -> Result<(), Error> {
        let mut written = Vec::new();
        for file in files {
            let path = self.last_good_file(&file.file);
            if file.objects.is_empty() {
                write::remove(&path).map_err(|source| Error::Remove { path, source })?;
                continue;
            }
            let bytes = envelope::seal(&file).map_err(|source| Error::Encode {
                path: path.clone(),
                source,
            })?;
            if fs::read(&path).is_ok_and(|old| old == bytes) {
                continue;
            }
            let unfinished =
                write::write_new(&path, &bytes, write::Sync::Later).map_err(|source| {
                    Error::Write {
                        path: path.clone(),
                        source,
                    }
                })?;
            written.push((unfinished, path));
        }
        self.commit(&written)
    }

    /// Makes new files durable, then puts them in their places, then makes that durable.
    fn commit(&self, written: &[(PathBuf, PathBuf)]) -> Result<(), Error> {
        let Some((_, last)) = written.last() else {
            return Ok(());
        };
        let failed = |source| Error::Write {
            path: self.last_good.clone(),
            source,
        };
        match written {
            [(only, _)] => File::open(only)
                .and_then(|f| f.sync_all())
                .map_err(failed)?,
            _ => {
                let directory = File::open(&self.last_good).map_err(failed)?;
                nix::unistd::syncfs(&directory).map_err(|errno| failed(errno.into()))?;
            }
        }
        for (unfinished, path) in written {
            fs::rename(unfinished, path).map_err(|source| Error::Write {
                path: path.clone(),
                source,
            })?;
        }
        write::sync_directory(last).map_err(failed)
    }

    /// Forgets every manifest file but these.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed, or an entry cannot be removed.
    pub fn retain_last_good<'a>(
        &self,
        files: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let keep: BTreeSet<PathBuf> = files.into_iter().map(|f| self.last_good_file(f)).collect();
        let entries = write::entries(&self.last_good).map_err(|source| Error::List {
            path: self.last_good.clone(),
            source,
        })?;
        for path in entries.into_iter().filter(|path| !keep.contains(path)) {
            fs::remove_file(&path).map_err(|source| Error::Remove { path, source })?;
        }
        Ok(())
    }

    fn last_good_file(&self, file: &str) -> PathBuf {
        let hash = envelope::checksum(file.as_bytes());
        let name = Path::new(OsStr::new(&hash[..32])).with_extension("json");
        self.last_good.join(name)
    }
}
