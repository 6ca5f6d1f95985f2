//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the file of an entry ends in.
const ENTRY: &str = "json";
/// What a file ends in that is being written; a crash may leave one behind.
const UNFINISHED: &str = "new";
/// What the file of a damaged entry ends in.
const DAMAGED: &str = "corrupt";

/// Replaces a file durably. Only root can read it: entries hold Secrets.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = write_new(path, bytes, Sync::Now)?;
    fs::rename(&unfinished, path)?;
    sync_directory(path)
}

/// Whether a file is made durable at once or together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before the function returns.
    Now,
    /// By a later sync of the whole filesystem.
    Later,
}

/// Writes the new content beside the file and returns where; leaves nothing when it fails.
pub(super) fn write_new(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<PathBuf> {
    let unfinished = path.with_extension(UNFINISHED);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            match sync {
                Sync::Now => file.sync_all(),
                Sync::Later => Ok(()),
            }
        });
    if let Err(error) = written {
        // The disk may be full: what was begun must not take room. The first error counts.
        drop(fs::remove_file(&unfinished));
        return Err(error);
    }
    Ok(unfinished)
}

/// Removes a file durably; one that is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the renames and removals in a file's directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// The entries of a directory, by name.
pub(super) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    files(directory, ENTRY)
}

/// The files of a directory that end so, by name.
pub(super) fn files(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Moves a damaged entry aside and returns where it is now.
pub(super) fn quarantine(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension(DAMAGED);
    fs::rename(path, &aside)?;
    sync_directory(path)?;
    Ok(aside)
}

/// Removes what a crash left unfinished; what cannot be removed does no harm.
pub(super) fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|e| e == UNFINISHED) {
            drop(fs::remove_file(path));
        }
    }
}
