//! Removes a tree.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, ftruncate, open, openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{Found, Walk};
use crate::blocking::Progress;

/// So many bytes of a file are removed at a time.
const PIECE: u64 = 1 << 30;

/// Removes whatever is at a path, with everything below it; nothing there is fine. It goes on past
/// what cannot be removed, and may be stopped at any entry and repeated.
///
/// # Errors
/// The first thing that could not be removed, by its path.
pub fn remove(path: &Path, progress: &Progress) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            if let (Some(above), Some(name)) = (path.parent(), path.file_name()) {
                let above = open(above, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                let name = CString::new(name.as_bytes());
                if let (Ok(above), Ok(name)) = (above, name) {
                    shorten(&above, &name, progress)?;
                }
            }
            return present(fs::remove_file(path));
        }
        Err(error) => return present(Err(error)),
    }
    loop {
        let removed = empty(path, progress)?;
        match present(fs::remove_dir(path)) {
            // Files came meanwhile, or a list was not read whole while it shrank.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && removed > 0 => {}
            done => return done,
        }
    }
}

/// Removes what is in a directory; how much that was.
fn empty(path: &Path, progress: &Progress) -> io::Result<u64> {
    let mut walk = match Walk::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        walk => walk?,
    };
    let (mut removed, mut first) = (0, None);
    while let Some(found) = walk.next()? {
        progress.step()?;
        let flags = match found {
            Found::Entered | Found::Lost => continue,
            Found::Unread(error) => {
                first.get_or_insert_with(|| walk.locate(&error));
                continue;
            }
            Found::Other => {
                shorten(walk.at()?, walk.name(), progress)?;
                AtFlags::empty()
            }
            Found::Left => AtFlags::REMOVEDIR,
        };
        match unlinkat(walk.at()?, walk.name(), flags) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            // Said by what is left in it, or done by the next walk.
            Err(Errno::NOTEMPTY) => {}
            Err(error) => {
                first.get_or_insert_with(|| walk.locate(&error.into()));
            }
        }
    }
    first.map_or(Ok(removed), Err)
}

/// Takes the end of a very large file away piece by piece: at once that may take longer than a thread
/// is given between two steps. A file that has another name elsewhere is left as it is, and what
/// cannot be shortened is removed all the same.
///
/// # Errors
/// It was asked to stop.
fn shorten(at: impl AsFd, name: &CStr, progress: &Progress) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let is_large = |found: &Stat| {
        let kind = FileType::from_raw_mode(found.st_mode);
        kind == FileType::RegularFile && found.st_nlink == 1 && length(found) > PIECE
    };
    if !statat(&at, name, flags).is_ok_and(|found| is_large(&found)) {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(&at, name, flags, Mode::empty()) else {
        return Ok(());
    };
    // It may have become another one.
    let Some(found) = fstat(&file).ok().filter(is_large) else {
        return Ok(());
    };
    let mut left = length(&found);
    while left > PIECE {
        progress.step()?;
        left -= PIECE;
        if ftruncate(&file, left).is_err() {
            break;
        }
    }
    progress.step()?;
    Ok(())
}

fn length(found: &Stat) -> u64 {
    u64::try_from(found.st_size).unwrap_or(0)
}

fn present(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
