//! What was decided, on disk: pod records and the last good version of every manifest file.
//!
//! One file an entry, written new, synced, renamed, and the directory synced, so that a crash at
//! any instant leaves the old entry or the new one. Each carries a checksum; a damaged one is moved
//! aside and reported, never fatal. Nothing here decides what is kept or for how long.
//!
//! The directory also has `pods/UID/`, the volumes of pods, which is another module's.

mod ending;
mod envelope;
mod erase;
mod error;
mod last_good;
mod lock;
mod sets;
mod write;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Uid;
use crate::model::PodRecord;

pub use erase::{Left, remove_empty};
pub use error::{Corrupt, Error};
pub use last_good::LastGoodFile;
pub use lock::is_used_by_other;

use envelope::Unsealed;

/// The state directory of one agent, locked for as long as this value lives.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    records: PathBuf,
    sets: PathBuf,
    last_good: PathBuf,
    _lock: lock::Lock,
}

impl Store {
    /// Opens the state directory, making it where it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or locked, or another agent uses it.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let (records, last_good) = (root.join("records"), root.join("last-good"));
        let sets = root.join("sets");
        for directory in [root, &records, &sets, &last_good] {
            make_private(directory).map_err(|source| Error::Open {
                path: directory.to_owned(),
                source,
            })?;
        }
        let lock = lock::Lock::take(root)?;
        for directory in [&records, &sets, &last_good] {
            write::sweep(directory);
        }
        Ok(Self {
            root: root.to_owned(),
            records,
            sets,
            last_good,
            _lock: lock,
        })
    }

    /// The state directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps a pod's record; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// It cannot be written, for example because the disk is full; the old record, if any, stays.
    pub fn put_pod(&self, record: &PodRecord) -> Result<(), Error> {
        self.put(&self.pod_file(&record.key.uid)?, record)
    }

    /// Forgets a pod; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// The record cannot be removed.
    pub fn remove_pod(&self, uid: &Uid) -> Result<(), Error> {
        let path = self.pod_file(uid)?;
        let removed = write::remove(&path).and_then(|()| Self::remove_mark(&path));
        removed.map_err(|source| Error::Remove { path, source })
    }

    /// Every pod's record, ordered by when it was decided, and the entries that could not be read.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn pods(&self) -> Result<(Vec<PodRecord>, Vec<Corrupt>), Error> {
        let (mut records, mut corrupt) = Self::all::<PodRecord>(&self.records)?;
        let (marked, mut unread) = self.ending_pods()?;
        corrupt.append(&mut unread);
        for record in marked {
            // Of one that was written after it was marked, what was written counts.
            if records.iter().all(|known| known.key.uid != record.key.uid) {
                records.push(record);
            }
        }
        records.sort_by(|a, b| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
        Ok((records, corrupt))
    }

    /// Every entry of a directory, and those that could not be read.
    fn all<T: DeserializeOwned>(directory: &Path) -> Result<(Vec<T>, Vec<Corrupt>), Error> {
        let (mut values, mut corrupt) = (Vec::new(), Vec::new());
        for path in write::entries(directory).map_err(|source| Error::List {
            path: directory.to_owned(),
            source,
        })? {
            match Self::get(&path, envelope::unseal_objects) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => {}
                Err(found) => corrupt.push(found),
            }
        }
        Ok((values, corrupt))
    }

    /// Whether there is anything of a pod: a record, or one that was moved aside because it could not be
    /// read.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn knows(&self, uid: &Uid) -> Result<bool, Error> {
        let listed = fs::read_dir(&self.records).and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.path()));
            names.collect::<io::Result<Vec<PathBuf>>>()
        });
        let files = listed.map_err(|source| Error::List {
            path: self.records.clone(),
            source,
        })?;
        let of_pod = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(uid.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        Ok(files.iter().any(of_pod))
    }

    fn pod_file(&self, uid: &Uid) -> Result<PathBuf, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let text = uid.as_str();
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            return Err(Error::BadUid { uid: uid.clone() });
        }
        Ok(self.records.join(format!("{text}.json")))
    }

    fn put<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), Error> {
        let bytes = envelope::seal_objects(value).map_err(|source| Error::Encode {
            path: path.to_owned(),
            source,
        })?;
        write::replace(path, &bytes).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// One entry; `None` where there is none. A damaged one is moved aside.
    fn get<T>(
        path: &Path,
        open: impl Fn(&[u8]) -> Result<T, Unsealed>,
    ) -> Result<Option<T>, Corrupt> {
        let reason = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Perhaps readable tomorrow: not moved aside.
            Err(error) => {
                return Err(Corrupt {
                    path: path.to_owned(),
                    reason: error.to_string(),
                    moved_to: None,
                });
            }
            Ok(bytes) => match open(&bytes) {
                Ok(value) => return Ok(Some(value)),
                Err(Unsealed::Newer(version)) => {
                    return Err(Corrupt {
                        path: path.to_owned(),
                        reason: format!("written by a newer setlet, in format {version}"),
                        moved_to: None,
                    });
                }
                Err(Unsealed::Damaged(reason)) => reason,
            },
        };
        Err(Corrupt {
            path: path.to_owned(),
            reason,
            moved_to: write::quarantine(path).ok(),
        })
    }
}

/// Makes a directory only its owner may enter; one that is there is closed to others.
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}
