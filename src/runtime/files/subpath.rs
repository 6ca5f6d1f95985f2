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

use super::beneath;
use super::steps::{self, step};
use crate::blocking::Progress;

/// Mounts `path` inside `volume` at `target`, making it a directory where it is missing.
pub(super) fn bind(
    volume: &Path,
    path: &str,
    target: &Path,
    progress: &Progress,
) -> io::Result<()> {
    progress.begin(format!("{path} in {}", volume.display()))?;
    let source = if volume.metadata()?.is_dir() {
        beneath::open_or_make(volume, path, progress)?
    } else {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    };
    // What an earlier container was given may have been replaced since.
    step(progress, || unmount(target), drop)?;
    if let Some(parent) = target.parent() {
        steps::directory(parent, 0o750, progress)?;
    }
    let is_directory = beneath::is_directory(&source)?;
    progress.begin(target.display().to_string())?;
    match target.symlink_metadata() {
        Ok(have) if have.is_dir() && !is_directory => std::fs::remove_dir(target)?,
        Ok(have) if !have.is_dir() && is_directory => std::fs::remove_file(target)?,
        _ => {}
    }
    if is_directory {
        steps::directory(target, 0o750, progress)?;
    } else {
        let make = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            options.open(target).map(drop)
        };
        step(progress, make, |()| {
            std::fs::remove_file(target).ok();
        })?;
    }
    let from = format!("/proc/self/fd/{}", source.as_raw_fd());
    let none: Option<&str> = None;
    let bind = || {
        Ok(mount(
            Some(from.as_str()),
            target,
            none,
            MsFlags::MS_BIND,
            none,
        )?)
    };
    step(progress, bind, |()| {
        unmount(target).ok();
    })
}

/// Takes away what is mounted at a path; nothing need be.
fn unmount(target: &Path) -> io::Result<()> {
    match umount2(target, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
