//! What lies in the manifests directory: which files are manifests, which are left unread, and who
//! could write them. Reads no file's content.
//!
//! Symbolic links are followed, so that a mounted ConfigMap (`x.yaml -> ..data/x.yaml`, `..data` a
//! link that is swapped) reads as its files. Directories whose name begins with a dot are not
//! entered: a ConfigMap's versions lie in such.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Writers;
use super::reach::{At, Reach};
use crate::files::trust::{self, Owner};
use crate::files::{self, Links};

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    owner: Owner,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            owner: Owner {
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.mode(),
            },
        }
    }

    /// The filesystem it is on.
    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// Whether the file has no content.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The later of the times of its content and of its inode, in seconds since the epoch.
    pub(super) fn seconds(&self) -> i64 {
        self.modified.0.max(self.changed.0)
    }
}

/// A manifest file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its version; `Err` where it cannot be told, with the reason.
    pub(super) stamp: Result<Stamp, String>,
    /// Why it must not be read, where somebody else could write it.
    pub(super) distrust: Option<String>,
    /// Whether it can only change as a whole: a link to it was made or swapped.
    pub(super) linked: bool,
}

/// A directory, told from another one under the same path.
pub(super) type DirectoryId = (u64, u64);

/// A directory that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory {
    /// Which one it is.
    pub(super) id: DirectoryId,
    /// Why its files must not be read.
    pub(super) distrust: Option<String>,
}

/// Everything that lies in the manifests directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Found>,
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    pub(super) unread: BTreeMap<PathBuf, String>,
    /// Directories and links below the root that could not be looked into, with the reason.
    pub(super) broken: BTreeMap<PathBuf, String>,
}

/// Who is asked to watch a directory before it is listed, so that no change falls in between.
pub(super) type Enter<'a> = &'a mut dyn FnMut(&Path, DirectoryId);

/// The rules by which files are trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    /// The agent's own user.
    pub(super) own: u32,
    /// Who may write.
    pub(super) writers: Writers,
}

/// So many paths that cannot be read are named.
const MOST_NAMED: usize = 10;

/// What is to be done about a path that is not trusted.
const FIX: &str = "make it writable by root only, or set manifests.allowUnprivilegedOwners";

impl Trust {
    /// Why a file or directory by itself is not trusted.
    fn judge(self, what: &str, owner: Owner, path: &Path) -> Option<String> {
        if self.writers == Writers::Anyone {
            return None;
        }
        let why = trust::distrust(what, owner, self.own, path)?;
        Some(format!("{why}; {FIX}"))
    }

    /// Why what is at a path is not trusted, by anything on the way to it; `None` also where nothing
    /// can be found there.
    fn way(self, path: &Path, reach: &Reach) -> Option<String> {
        let distrust = reach.ask(path, move |path, _| Ok(self.hold(path)?.distrust));
        match distrust {
            Ok(distrust) => distrust,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) if self.writers == Writers::Anyone => None,
            Err(error) => Some(format!(
                "who could change {} cannot be told: {error}; make it readable for setlet",
                path.display()
            )),
        }
    }

    /// Takes hold of what is at a path, and says of just this whether it is trusted.
    pub(super) fn hold(self, path: &Path) -> io::Result<trust::Held> {
        if self.writers == Writers::Anyone {
            return Ok(trust::Held {
                found: files::hold(path, Links::Follow)?,
                distrust: None,
            });
        }
        let mut held = trust::go(path)?;
        held.distrust = held.distrust.map(|why| format!("{why}; {FIX}"));
        Ok(held)
    }
}

/// Lists everything below `root`; an error is that the root itself cannot be listed.
pub(super) fn walk(
    root: &Path,
    trust: Trust,
    reach: &Reach,
    enter: Enter<'_>,
) -> io::Result<Listing> {
    let metadata = reach.metadata(root)?;
    reach.begin(metadata.dev());
    let mut walk = Walk {
        trust,
        reach,
        enter,
        listing: Listing::default(),
        above: Vec::new(),
    };
    let distrust = trust.way(root, reach);
    walk.descend(root, &metadata, distrust.as_deref())?;
    Ok(walk.listing)
}

/// A walk under way.
struct Walk<'a> {
    trust: Trust,
    reach: &'a Reach,
    enter: Enter<'a>,
    listing: Listing,
    /// The directories on the way to where it is.
    above: Vec<DirectoryId>,
}

impl Walk<'_> {
    fn descend(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        inherited: Option<&str>,
    ) -> io::Result<()> {
        let id = (metadata.dev(), metadata.ino());
        if self.above.contains(&id) {
            let why = "a link to a directory that it lies in".to_owned();
            self.listing.unread.insert(path.to_owned(), why);
            return Ok(());
        }
        let distrust = inherited.map(str::to_owned).or_else(|| {
            let what = format!("the directory {}", path.display());
            self.trust.judge(&what, Stamp::of(metadata).owner, path)
        });
        (self.enter)(path, id);
        let entries = self.reach.entries(path)?;
        let directory = Directory {
            id,
            distrust: distrust.clone(),
        };
        self.listing.directories.insert(path.to_owned(), directory);
        self.above.push(id);
        for entry in entries {
            self.visit(&entry, distrust.as_deref());
        }
        self.above.pop();
        Ok(())
    }

    /// Takes in one entry of a directory.
    fn visit(&mut self, entry: &DirEntry, distrust: Option<&str>) {
        let path = entry.path();
        let kind = entry.file_type().ok();
        let linked = kind.is_some_and(|kind| kind.is_symlink());
        let metadata = if kind.is_some_and(|kind| kind.is_file()) {
            fs::metadata(&path)
        } else {
            // It may be on another filesystem than the directory, which has answered just now.
            self.reach.metadata(&path)
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() => {
                if is_hidden(&path) {
                    return note_hidden(&path, &mut self.listing);
                }
                let distrust = distrust
                    .map(str::to_owned)
                    .or_else(|| linked_distrust(&path, linked, self.trust, self.reach));
                let below = self.descend(&path, &metadata, distrust.as_deref());
                if let Err(error) = below
                    && error.kind() != io::ErrorKind::NotFound
                {
                    self.listing.broken.insert(path, error.to_string());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !is_hidden(&path) => {
                self.listing.broken.insert(path, error.to_string());
            }
            metadata => {
                self.place(path, &metadata, linked, distrust);
            }
        }
    }

    /// Puts what is no directory among the files or the unread.
    fn place(
        &mut self,
        path: PathBuf,
        metadata: &io::Result<Metadata>,
        linked: bool,
        inherited: Option<&str>,
    ) {
        let listing = &mut self.listing;
        if let Some(why) = why_unread(&path) {
            listing.unread.insert(path, why);
            return;
        }
        let by = (self.trust, self.reach);
        match found(&path, metadata, linked, inherited, by) {
            Ok(Some(found)) => drop(listing.files.insert(path, found)),
            Ok(None) => {}
            Err(why) => drop(listing.unread.insert(path, why)),
        }
    }
}

/// What is at the path of a manifest: nothing, a manifest, or what is none, with the reason.
fn found(
    path: &Path,
    metadata: &io::Result<Metadata>,
    linked: bool,
    inherited: Option<&str>,
    (trust, reach): (Trust, &Reach),
) -> Result<Option<Found>, String> {
    let stamp = match metadata {
        Ok(metadata) if !metadata.is_file() => return Err("it is not a regular file".to_owned()),
        Ok(metadata) => Ok(Stamp::of(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !linked => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("the file that the link names does not exist".to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    let distrust = inherited.map(str::to_owned).or_else(|| {
        let owner = stamp.as_ref().ok()?.owner;
        let what = path.display().to_string();
        trust
            .judge(&what, owner, path)
            .or_else(|| linked_distrust(path, linked, trust, reach))
    });
    Ok(Some(Found {
        stamp,
        distrust,
        linked: linked || metadata.as_ref().is_ok_and(|m| m.nlink() > 1),
    }))
}

/// What is at one path whose directory was entered before.
pub(super) fn look(
    path: &Path,
    at: &At,
    directory: &Directory,
    trust: Trust,
    reach: &Reach,
) -> Result<Option<Found>, String> {
    let inherited = directory.distrust.as_deref();
    found(path, &at.metadata, at.linked, inherited, (trust, reach))
}

/// Why what a link leads to must not be read.
fn linked_distrust(path: &Path, linked: bool, trust: Trust, reach: &Reach) -> Option<String> {
    if linked { trust.way(path, reach) } else { None }
}

/// Why a file is left unread by its name; `None` for a manifest.
pub(super) fn why_unread(path: &Path) -> Option<String> {
    if is_hidden(path) {
        return Some("its name begins with a dot".to_owned());
    }
    let manifest = path
        .extension()
        .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    (!manifest).then(|| "its name does not end in .yaml, .yml or .json".to_owned())
}

fn is_hidden(path: &Path) -> bool {
    name_begins(path, b".")
}

fn name_begins(path: &Path, with: &[u8]) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(with))
}

/// Names a hidden directory; those of a mounted ConfigMap are no news to anyone.
fn note_hidden(path: &Path, listing: &mut Listing) {
    if !name_begins(path, b"..") {
        let why = "its name begins with a dot".to_owned();
        listing.unread.insert(path.to_owned(), why);
    }
}

/// Names what cannot be read, with the reasons; `None` where nothing is.
pub(super) fn name_all(broken: &BTreeMap<PathBuf, String>) -> Option<String> {
    let named = broken.iter().take(MOST_NAMED);
    let mut named: Vec<String> = named
        .map(|(path, why)| format!("{}: {why}", path.display()))
        .collect();
    if broken.len() > named.len() {
        named.push(format!("and {} more", broken.len() - named.len()));
    }
    (!named.is_empty()).then(|| named.join("; "))
}
