//! Opens and makes paths inside a volume without ever leaving it, whatever links a container puts
//! there meanwhile.
//!
//! As kubelet's `subpath` package: the path is resolved and must be inside, then walked again one
//! name at a time without following any link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::steps::step;
use crate::blocking::Progress;

/// Opens what `path` names inside `root` (flag `O_PATH`), making missing directories with the
/// mode of `root`.
pub(super) fn open_or_make(root: &Path, path: &str, progress: &Progress) -> io::Result<OwnedFd> {
    let root = root.canonicalize()?;
    let (existing, missing) = resolve(&root, Path::new(path))?;
    let mut at = walk(&root, &existing)?;
    if missing.as_os_str().is_empty() {
        return Ok(at);
    }
    let mode = Mode::from_bits_truncate(fstat(directory(&root)?)?.st_mode & 0o7777);
    for name in names(&missing)? {
        let make = || match mkdirat(&at, name, Mode::S_IRWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(e) => Err(e.into()),
        };
        let undo = |made| {
            if made {
                unlinkat(&at, name, UnlinkatFlags::RemoveDir).ok();
            }
        };
        step(progress, make, undo)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        at = openat(&at, name, flags, Mode::empty())?;
        fchmod(&at, mode)?;
    }
    Ok(at)
}

/// Opens what `path` names inside `root`; it must exist.
pub(super) fn open_existing(root: &Path, path: &str) -> io::Result<OwnedFd> {
    let root = root.canonicalize()?;
    let (existing, missing) = resolve(&root, Path::new(path))?;
    if !missing.as_os_str().is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    walk(&root, &existing)
}

/// Whether a descriptor is a directory's.
pub(super) fn is_directory(fd: &OwnedFd) -> io::Result<bool> {
    Ok(kind(fstat(fd)?.st_mode) == SFlag::S_IFDIR)
}

/// Resolves the part of `path` that exists, links included, to a path relative to `root`, and
/// gives what is left of it.
fn resolve(root: &Path, path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    names(path)?;
    let mut head = root.join(path);
    let mut tail = PathBuf::new();
    let resolved = loop {
        match head.canonicalize() {
            Ok(resolved) => break resolved,
            // A dangling link exists and must not be made a directory of.
            Err(e) if e.kind() == io::ErrorKind::NotFound && head.symlink_metadata().is_err() => {
                let name = head.file_name().unwrap_or_default().to_owned();
                tail = if tail.as_os_str().is_empty() {
                    PathBuf::from(name)
                } else {
                    Path::new(&name).join(tail)
                };
                if !head.pop() {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
    };
    match resolved.strip_prefix(root) {
        Ok(inside) => Ok((inside.to_owned(), tail)),
        Err(_) => Err(io::Error::other(format!(
            "{} leads out of the volume",
            path.display()
        ))),
    }
}

/// Walks to a resolved path; a link on the way was put there since, and is refused.
fn walk(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let mut at = directory(root)?;
    for name in names(path)? {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        at = openat(&at, name, flags, Mode::empty())?;
        if kind(fstat(&at)?.st_mode) == SFlag::S_IFLNK {
            return Err(io::Error::other("a link appeared inside the path"));
        }
    }
    Ok(at)
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

fn kind(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())
}

/// The names of a relative path; anything that is not a plain name is refused.
fn names(path: &Path) -> io::Result<Vec<&OsStr>> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_stay_inside_whatever_links_say() {
        let root = tempfile::tempdir().expect("a directory");
        let (root, on) = (root.path(), Progress::default());
        std::fs::create_dir(root.join("real")).expect("a directory");
        symlink("real", root.join("inside")).expect("a link");
        symlink("/etc", root.join("outside")).expect("a link");
        symlink("nowhere", root.join("dangling")).expect("a link");
        assert!(open_existing(root, "inside").is_ok());
        assert!(open_or_make(root, "inside/a/b", &on).is_ok());
        assert!(root.join("real/a/b").is_dir());
        assert!(open_existing(root, "outside").is_err());
        assert!(open_or_make(root, "outside/made-by-setlet", &on).is_err());
        assert!(open_or_make(root, "dangling/x", &on).is_err());
        assert!(open_or_make(root, "a/../../x", &on).is_err());
    }
}
