//! Steps of file work that leave something behind.
//!
//! Work that hangs in one comes back when its mount answers, perhaps long after the pod was taken away.
//! So each step asks first whether the work goes on, and asks again when it is done: what was made
//! after the work was asked to stop is undone. Whoever takes a pod away asks its work to stop before
//! that, so whatever was made earlier is found there.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::blocking::Progress;
use crate::files;

/// Does one step, and undoes it where the work was asked to stop meanwhile.
///
/// # Errors
///
/// Those of the step; or the work was asked to stop, before the step or during it.
pub(super) fn step<T>(
    progress: &Progress,
    act: impl FnOnce() -> io::Result<T>,
    undo: impl FnOnce(T),
) -> io::Result<T> {
    progress.step()?;
    let made = act()?;
    if let Err(stopped) = progress.step() {
        undo(made);
        return Err(stopped.into());
    }
    Ok(made)
}

/// Makes a directory with those above it, and gives it exactly this mode, whatever the umask; one
/// that is there is left as it is.
///
/// # Errors
///
/// When it cannot be made; or the work was asked to stop.
pub(super) fn directory(path: &Path, mode: u32, progress: &Progress) -> io::Result<()> {
    progress.begin(path.display().to_string())?;
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        directory(above, mode, progress)?;
    }
    let make = || match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map(|()| true),
    };
    let undo = |made| {
        if made {
            fs::remove_dir(path).ok();
        }
    };
    step(progress, make, undo).map(drop)
}

/// Writes a whole file in place and gives it exactly this mode, whatever the umask. What is there
/// must be a file.
///
/// # Errors
///
/// When it cannot be written; or the work was asked to stop.
pub(super) fn file(path: &Path, content: &[u8], mode: u32, progress: &Progress) -> io::Result<()> {
    let write = || {
        let is_new = path.symlink_metadata().is_err();
        let mut file = files::create(path, mode)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(is_new)
    };
    let undo = |is_new| {
        if is_new {
            fs::remove_file(path).ok();
        }
    };
    step(progress, write, undo).map(drop)
}
