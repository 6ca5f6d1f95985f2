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
use super::owner::{Owner, distrust};

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
    /// Directories below the root that could not be listed, with the reason.
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

/// Lists everything below `root`; an error is that the root itself cannot be listed.
pub(super) fn walk(root: &Path, trust: Trust, enter: Enter<'_>) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let metadata = fs::metadata(root)?;
    descend(
        root,
        &metadata,
        None,
        trust,
        &mut listing,
        &mut Vec::new(),
        enter,
    )?;
    Ok(listing)
}

fn descend(
    path: &Path,
    metadata: &Metadata,
    inherited: Option<&str>,
    trust: Trust,
    listing: &mut Listing,
    above: &mut Vec<DirectoryId>,
    enter: Enter<'_>,
) -> io::Result<()> {
    let id = (metadata.dev(), metadata.ino());
    if above.contains(&id) {
        let why = "a link to a directory that it lies in".to_owned();
        listing.unread.insert(path.to_owned(), why);
        return Ok(());
    }
    let distrust = inherited.map(str::to_owned).or_else(|| {
        let what = format!("the directory {}", path.display());
        distrust(&what, Stamp::of(metadata).owner, trust.own, trust.writers)
    });
    enter(path, id);
    let entries: Vec<DirEntry> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    let directory = Directory {
        id,
        distrust: distrust.clone(),
    };
    listing.directories.insert(path.to_owned(), directory);
    above.push(id);
    for entry in entries {
        let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if is_hidden(&path) {
                    note_hidden(&path, listing);
                    continue;
                }
                let distrust = distrust
                    .clone()
                    .or_else(|| linked_distrust(&path, linked, trust));
                let below = descend(
                    &path,
                    &metadata,
                    distrust.as_deref(),
                    trust,
                    listing,
                    above,
                    enter,
                );
                if let Err(error) = below
                    && error.kind() != io::ErrorKind::NotFound
                {
                    listing.broken.insert(path, error.to_string());
                }
            }
            metadata => place(path, &metadata, linked, distrust.as_deref(), trust, listing),
        }
    }
    above.pop();
    Ok(())
}

/// Puts what is no directory among the files or the unread.
fn place(
    path: PathBuf,
    metadata: &io::Result<Metadata>,
    linked: bool,
    inherited: Option<&str>,
    trust: Trust,
    listing: &mut Listing,
) {
    if let Some(why) = why_unread(&path) {
        listing.unread.insert(path, why);
        return;
    }
    match found(&path, metadata, linked, inherited, trust) {
        Ok(Some(found)) => drop(listing.files.insert(path, found)),
        Ok(None) => {}
        Err(why) => drop(listing.unread.insert(path, why)),
    }
}

/// What is at the path of a manifest: nothing, a manifest, or what is none, with the reason.
fn found(
    path: &Path,
    metadata: &io::Result<Metadata>,
    linked: bool,
    inherited: Option<&str>,
    trust: Trust,
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
        distrust(&what, owner, trust.own, trust.writers)
            .or_else(|| linked_distrust(path, linked, trust))
    });
    Ok(Some(Found {
        stamp,
        distrust,
        linked: linked || metadata.as_ref().is_ok_and(|m| m.nlink() > 1),
    }))
}

/// Looks at one path whose directory was entered before.
pub(super) fn look(
    path: &Path,
    directory: &Directory,
    trust: Trust,
) -> Result<Option<Found>, String> {
    let linked = fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink());
    let inherited = directory.distrust.as_deref();
    found(path, &fs::metadata(path), linked, inherited, trust)
}

/// Why a link's target must not be read: somebody else could replace it in its own directory.
fn linked_distrust(path: &Path, linked: bool, trust: Trust) -> Option<String> {
    if !linked || trust.writers == Writers::Anyone {
        return None;
    }
    let target = fs::canonicalize(path).ok()?;
    target.ancestors().skip(1).find_map(|directory| {
        let owner = Stamp::of(&fs::metadata(directory).ok()?).owner;
        let what = format!("{}, where {} leads,", directory.display(), path.display());
        distrust(&what, owner, trust.own, trust.writers)
    })
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
