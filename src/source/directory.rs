//! The manifests directory as it is known: every file's contents, kept current by looking at paths
//! that events name and by scanning everything. Blocking; runs on a thread of its own.
//!
//! What makes an object go away is looked at twice. A file that vanished may be in the middle of
//! being replaced, as editors do it, and a file that was closed with less in it may be about to be
//! written to again: both are confirmed after [`CONFIRM`]. A file that was renamed into place is
//! believed at once. A file that is being written is not read before it is closed or quiet: half a
//! DaemonSet may be a valid one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::merge::{Contents, merge};
use super::reach::Reach;
use super::read::{Readings, read_ahead};
use super::walk::{self, Directory, DirectoryId, Listing, Stamp, Trust};
use super::watcher::Change;
use super::{LastGood, Settings, SourceMetrics};
use crate::clock::After;
use crate::model::{Snapshot, SourceCondition, Unread};

/// After which time a loss is believed.
pub(super) const CONFIRM: Duration = Duration::from_millis(250);
/// How long a file must be quiet that is not known to be closed.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// Why a path is looked at, from the least reason to believe what is found to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// It was made; it may be written to next.
    Created,
    /// A scan came by, or its owner or mode changed.
    Scanned,
    /// It was closed after writing, or is gone.
    Closed,
    /// It was renamed into place.
    Renamed,
    /// It was quiet for long enough, or looked at before.
    Settled,
}

/// The time, on both clocks: one that runs evenly, and the one files are stamped with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
}

impl Moment {
    /// How long ago a file was changed; zero for the future.
    pub(super) fn since(self, stamp: &Stamp) -> Duration {
        let epoch = self.wall.duration_since(SystemTime::UNIX_EPOCH);
        let now = epoch.map_or(0, |d| d.as_secs());
        let then = u64::try_from(stamp.seconds()).unwrap_or(0);
        Duration::from_secs(now.saturating_sub(then))
    }
}

/// What is known of one file, and of which version of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) contents: Contents,
    pub(super) stamp: Option<Stamp>,
    pub(super) distrust: Option<String>,
    /// It was changed so shortly before it was read that a later change may have the same stamp.
    pub(super) fresh: bool,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.stamp.is_some_and(|stamp| stamp.is_empty()) && self.distrust.is_none()
    }
}

/// The directory as it is known.
pub(super) struct Manifests {
    pub(super) settings: Settings,
    own: u32,
    pub(super) reach: Reach,
    pub(super) keeper: Box<dyn LastGood>,
    pub(super) metrics: SourceMetrics,
    pub(super) files: BTreeMap<PathBuf, Known>,
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    unread: BTreeMap<PathBuf, String>,
    condition: SourceCondition,
    /// Whether everything was read since the start, or is known from before it.
    pub(super) synced: bool,
    /// Whether a scan was done since the start.
    pub(super) scanned: bool,
    /// Whether it cannot be told what was in force in the parts that cannot be read.
    pub(super) lost: bool,
    /// What was read of files whose turn is still to come.
    pub(super) ahead: Readings,
    /// Paths whose loss is to be confirmed, and when.
    pub(super) doubts: BTreeMap<PathBuf, Instant>,
    /// Files that are being written, and when they count as quiet.
    pub(super) writing: BTreeMap<PathBuf, Instant>,
    /// Files whose objects on disk are not known to be those in force.
    pub(super) unkept: BTreeSet<PathBuf>,
    /// Why they could not be kept at the last try.
    pub(super) keep_error: Option<String>,
    /// Files that lost something while somebody still writes them, and who.
    pub(super) unfinished: BTreeMap<PathBuf, String>,
    /// The filesystem the files were on when the agent was last in force, as it is on disk.
    pub(super) filesystem: Option<u64>,
    /// Whether what is kept on disk was compared with the files there are.
    pub(super) retained: bool,
    /// Whether the snapshot is another one than was published.
    pub(super) changed: bool,
}

impl Manifests {
    pub(super) fn new(
        settings: Settings,
        reach: Reach,
        keeper: Box<dyn LastGood>,
        metrics: SourceMetrics,
    ) -> Self {
        Self {
            settings,
            own: nix::unistd::geteuid().as_raw(),
            reach,
            keeper,
            metrics,
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            unread: BTreeMap::new(),
            condition: SourceCondition::Pending,
            synced: false,
            scanned: false,
            lost: false,
            ahead: Readings::new(),
            doubts: BTreeMap::new(),
            writing: BTreeMap::new(),
            unkept: BTreeSet::new(),
            keep_error: None,
            unfinished: BTreeMap::new(),
            filesystem: None,
            retained: false,
            changed: true,
        }
    }

    pub(super) fn trust(&self) -> Trust {
        Trust {
            own: self.own,
            writers: self.settings.writers,
        }
    }

    /// Whether a directory was entered at the last scan.
    pub(super) fn enters(&self, path: &Path) -> bool {
        self.directories.contains_key(path)
    }

    /// Looks at everything; `enter` is told each directory before it is listed. False where the
    /// directory itself could not be listed.
    pub(super) fn scan(&mut self, at: Moment, enter: &mut dyn FnMut(&Path, DirectoryId)) -> bool {
        let root = self.settings.path.clone();
        let listing = match walk::walk(&root, self.trust(), &self.reach, enter) {
            Ok(listing) => listing,
            Err(error) => {
                self.be_unreadable(&error);
                return false;
            }
        };
        if !self.synced && self.filesystem.is_none() {
            self.filesystem = self.load_filesystem();
        }
        if let Some(why) = self.unmounted(&root, &listing) {
            self.become_condition(SourceCondition::Unreadable(why));
            return true;
        }
        let Listing {
            files,
            directories,
            unread,
            broken,
        } = listing;
        self.directories = directories;
        self.changed |= self.unread != unread;
        self.unread = unread;
        if !self.scanned {
            self.ahead = read_ahead(&files, self.trust(), &self.reach);
        }
        for (path, found) in &files {
            self.consider(path, Some(found), Hint::Scanned, at);
        }
        self.ahead.clear();
        self.scanned = true;
        let cannot_tell = |path: &Path| broken.keys().any(|above| path.starts_with(above));
        let missing: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| !files.contains_key(*path) && !cannot_tell(path))
            .cloned()
            .collect();
        for path in missing {
            self.consider(&path, None, Hint::Scanned, at);
        }
        if !self.synced && !broken.is_empty() {
            self.lost |= !self.load_below(&cannot_tell);
        }
        self.lost &= !broken.is_empty();
        self.changed |= !self.synced && !self.lost;
        self.synced |= !self.lost;
        if let Some(why) = walk::name_all(&broken) {
            self.become_condition(SourceCondition::Unreadable(why));
        } else {
            self.note_filesystem(&root);
            self.become_condition(SourceCondition::Ready);
        }
        true
    }

    /// Takes in what events say, in their order, and looks at the paths they name. Returns whether
    /// only a scan can tell what happened.
    pub(super) fn note(&mut self, changes: Vec<Change>, at: Moment) -> bool {
        let mut scan = false;
        let mut hints: BTreeMap<PathBuf, Hint> = BTreeMap::new();
        for change in changes {
            let (path, hint) = match change {
                Change::Anything | Change::Directory(_) => {
                    scan = true;
                    continue;
                }
                Change::Written(path) => {
                    hints.remove(&path);
                    self.writing.insert(path, at.now.after(QUIET));
                    continue;
                }
                Change::Created(path) => {
                    self.writing.insert(path.clone(), at.now.after(QUIET));
                    (path, Hint::Created)
                }
                Change::Touched(path) => (path, Hint::Scanned),
                Change::Closed(path) | Change::Gone(path) => {
                    self.writing.remove(&path);
                    (path, Hint::Closed)
                }
                Change::Renamed(path) => {
                    self.writing.remove(&path);
                    (path, Hint::Renamed)
                }
            };
            hints.insert(path, hint);
        }
        for (path, hint) in hints {
            scan |= !self.look_at(&path, hint, at);
        }
        scan
    }

    /// Looks at one path; false where only a scan can tell what happened to it.
    fn look_at(&mut self, path: &Path, hint: Hint, at: Moment) -> bool {
        let directory = path.parent().and_then(|above| self.directories.get(above));
        let Some(directory) = directory.filter(|_| !self.enters(path)) else {
            return false;
        };
        // A directory, or the link a mounted ConfigMap is swapped by, stands for other paths.
        let Ok(there) = self.reach.found(path) else {
            // The next scan says so, and what is known of it stays.
            self.writing.remove(path);
            return true;
        };
        if there.metadata.as_ref().is_ok_and(Metadata::is_dir) {
            return false;
        }
        let found = match walk::why_unread(path) {
            Some(why) => Err(why),
            None => walk::look(path, &there, directory, self.trust(), &self.reach),
        };
        match found {
            Ok(found) => {
                self.changed |= self.unread.remove(path).is_some();
                self.consider(path, found.as_ref(), hint, at);
            }
            Err(why) => {
                self.writing.remove(path);
                if self.files.contains_key(path) {
                    self.consider(path, None, hint, at);
                }
                self.changed |= if there.exists {
                    self.unread.insert(path.to_owned(), why.clone()) != Some(why)
                } else {
                    self.unread.remove(path).is_some()
                };
            }
        }
        true
    }

    /// When a path should be looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let times = self.doubts.values().chain(self.writing.values());
        times.min().copied()
    }

    /// Looks again at the paths whose time has come. Returns whether a scan is needed.
    pub(super) fn look_again(&mut self, at: Moment) -> bool {
        // What is being written has its own time.
        self.doubts
            .retain(|path, _| !self.writing.contains_key(path));
        let mut due = BTreeSet::new();
        for waiting in [&mut self.doubts, &mut self.writing] {
            waiting.retain(|path, when| *when > at.now || !due.insert(path.clone()));
        }
        if due.is_empty() {
            return false;
        }
        // Files of a directory that cannot be read any more are not gone.
        if let Err(error) = self.reach.entries(&self.settings.path) {
            self.be_unreadable(&error);
            return false;
        }
        let mut scan = false;
        for path in due {
            if path.parent().is_some_and(|above| self.enters(above)) {
                scan |= !self.look_at(&path, Hint::Settled, at);
            } else {
                self.consider(&path, None, Hint::Settled, at);
            }
        }
        scan
    }

    fn be_unreadable(&mut self, error: &io::Error) {
        self.doubts.clear();
        self.writing.clear();
        let why = format!("{}: {error}", self.settings.path.display());
        self.become_condition(SourceCondition::Unreadable(why));
    }

    fn become_condition(&mut self, condition: SourceCondition) {
        self.changed |= self.condition != condition;
        self.condition = condition;
    }

    /// Why an empty directory is not believed: it is on another filesystem than the one the files
    /// were on, as an empty mount point is when its filesystem is gone.
    fn unmounted(&self, root: &Path, listing: &Listing) -> Option<String> {
        let before = self.filesystem?;
        let after = listing.directories.get(root)?.id.0;
        (before != after && listing.files.is_empty()).then(|| {
            format!(
                "{}: is empty and on another filesystem than before; is a mount missing? Where it is \
                 meant to be empty, an empty file none.yaml in it says so",
                root.display()
            )
        })
    }

    /// The snapshot, if it changed since the last one.
    pub(super) fn publish(&mut self) -> Option<Snapshot> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let files = self
            .files
            .iter()
            .map(|(path, known)| (path, &known.contents));
        let mut snapshot = merge(files);
        snapshot.condition = self.condition.clone();
        snapshot.synced = self.synced;
        snapshot.unkept.clone_from(&self.keep_error);
        let empty = self.files.iter().filter(|(_, known)| known.is_empty());
        let empty = empty.map(|(path, _)| (path.clone(), "it is empty".to_owned()));
        let mut unread = self.unread.clone();
        unread.extend(empty.chain(self.unfinished.clone()));
        snapshot.unread = unread
            .iter()
            .map(|(path, why)| Unread {
                path: path.to_string_lossy().into_owned(),
                why: why.clone(),
            })
            .collect();
        self.metrics.files.set(&[], count(self.files.len()));
        self.metrics.refused.set(&[], count(snapshot.refused.len()));
        let readable = f64::from(u8::from(self.condition == SourceCondition::Ready));
        self.metrics.readable.set(&[], readable);
        Some(snapshot)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 files")]
fn count(n: usize) -> f64 {
    n as f64
}
