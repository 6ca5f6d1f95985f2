//! The end of a pod, written down where there is no room to write: a pod that ends is what makes room.
//!
//! The record that is there stays as it is and gets another name, of the same length as that of a file
//! which was just tried to be written, and the time of the decision as its time of modification. Neither
//! needs a block or an inode, and a crash leaves one name or the other.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::{Corrupt, Error, Store, envelope, write};
use crate::model::PodRecord;

/// What the file of a pod ends in that ends; not longer than the one of an unfinished file.
const ENDING: &str = "end";

impl Store {
    /// Keeps the record of a pod whose end was decided; when this returns that is durable. It needs no
    /// room: where the record cannot be written, the one before is marked, which loses no more than why
    /// the pod was evicted.
    ///
    /// # Errors
    ///
    /// It can neither be written nor marked; the old record, if any, stays.
    pub fn end_pod(&self, record: &PodRecord) -> Result<(), Error> {
        let path = self.pod_file(&record.key.uid)?;
        let marked = path.with_extension(ENDING);
        match (self.put_pod(record), record.ending_since) {
            (Ok(()), _) => write::remove(&marked).map_err(|source| Error::Remove {
                path: marked,
                source,
            }),
            (Err(error @ Error::Write { .. }), Some(at)) => {
                let is_marked = !path.exists() && marked.exists();
                if is_marked || mark(&path, &marked, at).is_ok() {
                    return Ok(());
                }
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The records that are marked, each with its end, and the entries that could not be read.
    pub(super) fn ending_pods(&self) -> Result<(Vec<PodRecord>, Vec<Corrupt>), Error> {
        let (mut records, mut corrupt) = (Vec::new(), Vec::new());
        let entries = write::files(&self.records, ENDING).map_err(|source| Error::List {
            path: self.records.clone(),
            source,
        })?;
        for path in entries {
            match Self::get::<PodRecord>(&path, envelope::unseal_objects) {
                Ok(Some(record)) => records.push(PodRecord {
                    ending_since: Some(marked_at(&path).unwrap_or(record.created_at)),
                    ..record
                }),
                Ok(None) => {}
                Err(found) => corrupt.push(found),
            }
        }
        Ok((records, corrupt))
    }

    /// Forgets that a pod is marked.
    pub(super) fn remove_mark(path: &Path) -> io::Result<()> {
        write::remove(&path.with_extension(ENDING))
    }
}

fn mark(path: &Path, marked: &Path, at: Timestamp) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_modified(at.into())?;
    file.sync_all()?;
    fs::rename(path, marked)?;
    write::sync_directory(path)
}

fn marked_at(path: &Path) -> Option<Timestamp> {
    let modified = fs::metadata(path).and_then(|found| found.modified());
    Timestamp::try_from(modified.ok()?).ok()
}
