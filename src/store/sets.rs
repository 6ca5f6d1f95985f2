//! Where the line of time is, and the records of sets: their revisions and what was asked of their rollout. They hold Secrets where
//! a revision is kept with its objects, so they are readable by root only, as everything here.

use std::path::PathBuf;

use super::{Corrupt, Error, Store, envelope, write};
use crate::api::ObjectKey;
use crate::clock::Line;
use crate::model::SetRecord;

/// The longest name a file gets as it is; names are written under a longer one first.
const LONGEST: usize = 200;
/// The file of the line of time.
const LINE: &str = "clock.json";

impl Store {
    /// Keeps a set's record; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// It cannot be written; the old record, if any, stays.
    pub fn put_set(&self, record: &SetRecord) -> Result<(), Error> {
        self.put(&self.set_file(&record.set), record)
    }

    /// Keeps where the line of time is, which all records lie on.
    ///
    /// # Errors
    ///
    /// It cannot be written; the old one, if any, stays.
    pub fn put_line(&self, line: &Line) -> Result<(), Error> {
        self.put(&self.root.join(LINE), line)
    }

    /// Where the line of time was, if that is on disk.
    ///
    /// # Errors
    ///
    /// The entry cannot be read.
    pub fn line(&self) -> Result<Option<Line>, Corrupt> {
        Self::get(&self.root.join(LINE), envelope::unseal)
    }

    /// Forgets a set; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// The record cannot be removed.
    pub fn remove_set(&self, set: &ObjectKey) -> Result<(), Error> {
        let path = self.set_file(set);
        write::remove(&path).map_err(|source| Error::Remove { path, source })
    }

    /// Every set's record, and the entries that could not be read.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn sets(&self) -> Result<(Vec<SetRecord>, Vec<Corrupt>), Error> {
        Self::all(&self.sets)
    }

    /// Neither namespaces nor names of admitted objects have an underscore or a slash; together they
    /// may be longer than a file's name, and then stand as their hash.
    fn set_file(&self, set: &ObjectKey) -> PathBuf {
        let name = format!("{}_{}", set.namespace, set.name);
        let name = if name.len() > LONGEST {
            envelope::checksum(name.as_bytes())
        } else {
            name
        };
        self.sets.join(format!("{name}.json"))
    }
}
