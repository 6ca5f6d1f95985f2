//! What becomes of one file: whether it is read, and whether what it says is believed.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::directory::{CONFIRM, Hint, Manifests, Moment, QUIET};
use super::merge::{loses, succeed};
use super::reach::Reach;
use super::read::read;
use super::walk::Found;
use super::writers;
use crate::api::Admitted;
use crate::clock::After;

impl Manifests {
    /// Takes in what was found at a path, or that nothing was.
    pub(super) fn consider(&mut self, path: &Path, found: Option<&Found>, hint: Hint, at: Moment) {
        let Some(found) = found else {
            return self.consider_missing(path, hint, at);
        };
        if hint <= Hint::Scanned && !self.should_read(path, found, hint, at) {
            return;
        }
        self.take(path, found, hint, at);
    }

    /// Whether a file that no event calls complete is to be read now.
    fn should_read(&mut self, path: &Path, found: &Found, hint: Hint, at: Moment) -> bool {
        if found.linked {
            // A link is there as a whole, whatever else was written.
            self.writing.remove(path);
        }
        let stamp = found.stamp.as_ref().ok();
        let known = self.files.get(path);
        let same = known.is_some_and(|k| stamp.is_some() && k.stamp.as_ref() == stamp);
        if let Some(known) = known
            && same
            && known.distrust == found.distrust
        {
            self.doubts.remove(path);
            return known.fresh;
        }
        if !self.scanned || found.linked || found.distrust.is_some() {
            return true;
        }
        if hint == Hint::Created || self.writing.contains_key(path) {
            // Its closing, or a time of quiet, is another event.
            return false;
        }
        let age = stamp.map_or(Duration::MAX, |stamp| at.since(stamp));
        if age < QUIET {
            self.doubts.insert(path.to_owned(), at.now.after(QUIET));
        }
        age >= QUIET
    }

    fn consider_missing(&mut self, path: &Path, hint: Hint, at: Moment) {
        self.writing.remove(path);
        if !self.files.contains_key(path) {
            self.doubts.remove(path);
        } else if hint == Hint::Settled {
            if is_gone(path, &self.reach) {
                self.forget(path);
            }
        } else {
            let when = at.now.after(CONFIRM);
            self.doubts.entry(path.to_owned()).or_insert(when);
        }
    }

    /// Reads a file and puts what it says in force, unless that has to be confirmed first.
    fn take(&mut self, path: &Path, found: &Found, hint: Hint, at: Moment) {
        self.metrics.reads.inc(&[]);
        let ahead = self.ahead.remove(path);
        let Some((reading, stamp)) =
            ahead.unwrap_or_else(|| read(path, found, self.trust(), &self.reach))
        else {
            return self.consider_missing(path, Hint::Closed, at);
        };
        let earlier: Vec<Admitted> = match self.files.get(path) {
            Some(known) => known.contents.objects().cloned().collect(),
            None if reading.refused.is_empty() && !reading.says_immutable() => Vec::new(),
            None => self.load(path),
        };
        let contents = succeed(&earlier, reading);
        if !found.linked && hint != Hint::Renamed && loses(&earlier, &contents) {
            let who = self.reach.ask(path, |path, _| Ok(writers::of(path)));
            if let Ok(Some(who)) = who {
                let why = format!(
                    "{who} has it open for writing; what it lost so far stays until it is closed"
                );
                self.changed |= self.unfinished.insert(path.to_owned(), why.clone()) != Some(why);
                self.doubts.insert(path.to_owned(), at.now.after(QUIET));
                return;
            }
            if hint == Hint::Closed {
                self.doubts.insert(path.to_owned(), at.now.after(CONFIRM));
                return;
            }
        }
        self.changed |= self.unfinished.remove(path).is_some();
        self.doubts.remove(path);
        let new = !self.files.contains_key(path);
        let known = self.files.entry(path.to_owned()).or_default();
        known.fresh = stamp.is_some_and(|stamp| at.since(&stamp) < QUIET);
        let was_empty = known.stamp.is_some_and(|stamp| stamp.is_empty());
        self.changed |= was_empty != stamp.is_some_and(|stamp| stamp.is_empty());
        known.stamp = stamp;
        known.distrust.clone_from(&found.distrust);
        if new || known.contents != contents {
            known.contents = contents;
            self.changed = true;
            self.unkept.insert(path.to_owned());
        }
    }

    fn forget(&mut self, path: &Path) {
        self.doubts.remove(path);
        self.unfinished.remove(path);
        if self.files.remove(path).is_some() {
            self.changed = true;
            self.unkept.insert(path.to_owned());
        }
    }
}

/// Whether nothing is at a path that is a manifest, as opposed to not being able to tell.
fn is_gone(path: &Path, reach: &Reach) -> bool {
    let Ok(there) = reach.found(path) else {
        return false;
    };
    match there.metadata {
        Ok(metadata) => !metadata.is_file(),
        Err(error) => {
            let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            gone.contains(&error.kind()) && !there.exists
        }
    }
}
