//! Bind mounts of paths inside volumes: what a container gets for `subPath` and `subPathExpr`.
//!
//! The mount is made of an open descriptor, so that a container which shares the volume cannot
//! exchange the path for a link between check and use.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{beneath, make_directory};

/// Mounts `path` inside `volume` at `target`, making it a directory where it is missing.
pub(super) fn bind(volume: &Path, path: &str, target: &Path) -> io::Result<()> {
    let source = if volume.metadata()?.is_dir() {
        beneath::open_or_make(volume, path)?
    } else {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    };
    // What an earlier container was given may have been replaced since.
    match umount2(target, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(e) => return Err(e.into()),
    }
    if let Some(parent) = target.parent() {
        make_directory(parent, 0o750)?;
    }
    let is_directory = beneath::is_directory(&source)?;
    match target.symlink_metadata() {
        Ok(have) if have.is_dir() && !is_directory => std::fs::remove_dir(target)?,
        Ok(have) if !have.is_dir() && is_directory => std::fs::remove_file(target)?,
        _ => {}
    }
    if is_directory {
        make_directory(target, 0o750)?;
    } else {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        options.open(target)?;
    }
    let from = format!("/proc/self/fd/{}", source.as_raw_fd());
    let none: Option<&str> = None;
    mount(Some(from.as_str()), target, none, MsFlags::MS_BIND, none)?;
    Ok(())
}
