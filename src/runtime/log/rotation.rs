//! Rotates a running container's log, and compresses and removes what was rotated.
//!
//! Carries out what it is told and what [`super::retention`] decides; when is the agent's business.
//! As kubelet's container log manager (pkg/kubelet/logs): rename, ReopenContainerLog, and back when
//! that fails. Cut short anywhere, nothing is lost: the runtime writes on into the renamed file, a
//! log without a file is opened anew, and a compressed file gets its name when it is whole.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tokio_util::sync::CancellationToken;

use super::pieces::CHUNK_BYTES;
use super::retention;
pub use super::retention::REST;
use super::rotated::{self, Form, Rotated, Stamp};
use crate::blocking::{Blocking, Lane, Progress, Unanswered};
use crate::files::{self, Links};
use crate::model::ContainerId;
use crate::runtime::{self, Runtime};

/// Why a log's files are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be handled.
    #[error("{operation} {path}: {source}")]
    File {
        /// What was being done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The runtime did not open the log anew; the file has its name back.
    #[error("{}", .0.line())]
    Reopen(#[source] runtime::Error),
    /// The filesystem of the logs does not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What a log is at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A file of so many bytes.
    Bytes(u64),
    /// No file, though its directory is there: a rotation was cut short.
    Missing,
    /// Neither file nor directory, or they cannot be looked at.
    Unknown,
}

/// What is left to do for a log's rotated files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing before the next rotation.
    Nothing,
    /// Something when [`REST`] has passed.
    Resting,
    /// More of the same.
    More,
}

/// What was done for a log's rotated files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tidied {
    /// Whether a file was compressed.
    pub compressed: bool,
    /// What is left to do.
    pub left: Left,
}

impl Runtime {
    /// Gives a running container's log a new file; the old one is the newest of the at most `keep`
    /// rotated ones.
    ///
    /// # Errors
    /// When a file cannot be removed or renamed, or the runtime does not open the new one.
    pub async fn rotate_log(
        &self,
        container: &ContainerId,
        log: PathBuf,
        keep: usize,
    ) -> Result<(), Error> {
        let now = crate::clock::wall();
        let path = log.clone();
        let (blocking, lane) = (
            &self.inner.blocking,
            format!("the rotation of {}", log.display()),
        );
        let rotate = move |on: &Progress| {
            let files = listed(&path)?;
            for file in retention::excess(&files, keep.saturating_sub(1)) {
                go_on(on, &path)?;
                remove(&file.path(&path))?;
            }
            let stamp = Stamp::next(now, files.last().map(|file| file.stamp));
            let rotated = Rotated::new(stamp, Form::Plain).path(&path);
            rename_away(&path, &rotated, on)?;
            Ok::<_, Error>(rotated)
        };
        let rotated = blocking.run(lane.clone(), rotate).await??;
        let reopened = self.reopen_log(container).await;
        if reopened.is_err() {
            let back = blocking.run(lane, move |_| rename_back(&rotated, &log));
            back.await??;
        }
        reopened
    }

    /// Makes the runtime open the log of a running container whose file is not there.
    ///
    /// # Errors
    /// When it does not.
    pub async fn reopen_log(&self, container: &ContainerId) -> Result<(), Error> {
        let reopened = self.inner.client.reopen_log(container).await;
        reopened.map_err(Error::Reopen)
    }
}

/// How large logs are now, in the order of the paths.
///
/// # Errors
/// Their filesystem does not answer.
pub async fn sizes(blocking: &Blocking, logs: Arc<[PathBuf]>) -> Result<Vec<Size>, Unanswered> {
    if logs.is_empty() {
        return Ok(Vec::new());
    }
    let look = move |on: &Progress| {
        let known = |log: &PathBuf| match on.begin(log.display().to_string()) {
            Ok(()) => size(log),
            Err(_) => Size::Unknown,
        };
        logs.iter().map(known).collect()
    };
    let lane = Lane::own("the sizes of container logs");
    blocking.run(lane, look).await
}

fn size(log: &Path) -> Size {
    match fs::symlink_metadata(log) {
        Ok(meta) if meta.is_file() => Size::Bytes(meta.len()),
        Ok(_) => Size::Unknown,
        Err(error) if error.kind() != io::ErrorKind::NotFound => Size::Unknown,
        Err(_) if log.parent().is_some_and(Path::is_dir) => Size::Missing,
        Err(_) => Size::Unknown,
    }
}

/// Removes what is not to be kept beside a log, and compresses one file. One log is tidied by one
/// caller at a time.
///
/// # Errors
/// When a file cannot be read, written or removed, or their filesystem does not answer.
pub async fn tidy(
    blocking: &Blocking,
    log: PathBuf,
    keep: usize,
    now: jiff::Timestamp,
    stop: CancellationToken,
) -> Result<Tidied, Error> {
    let work = move |on: &Progress| {
        go_on(on, &log)?;
        let chores = retention::decide(&listed(&log)?, keep, now);
        for file in &chores.remove {
            go_on(on, &log)?;
            remove(&file.path(&log))?;
        }
        let compressed = match chores.compress.first() {
            Some(stamp) => {
                compress(&log, *stamp, &Stop { stop, on })?;
                true
            }
            None => false,
        };
        let left = if chores.compress.len() > 1 {
            Left::More
        } else if chores.resting {
            Left::Resting
        } else {
            Left::Nothing
        };
        Ok(Tidied { compressed, left })
    };
    let lane = Lane::own("the rotated files of container logs");
    blocking.run(lane, work).await?
}

/// A step of the work on a log.
fn go_on(on: &Progress, log: &Path) -> Result<(), Error> {
    let begun = on.begin(log.display().to_string());
    begun.map_err(|stopped| failed("handle", log, stopped.into()))
}

/// What ends a compression early.
struct Stop<'a> {
    /// The agent ends.
    stop: CancellationToken,
    /// Nobody waits for it any more.
    on: &'a Progress,
}

impl Stop<'_> {
    /// Says that the work goes on, and whether it is to end.
    fn is_due(&self) -> bool {
        self.on.step().is_err() || self.stop.is_cancelled()
    }
}

/// Compresses one file, unless that is stopped or the log is gone.
fn compress(log: &Path, stamp: Stamp, stop: &Stop<'_>) -> Result<(), Error> {
    compress_into(log, stamp, stop, create_like)
}

/// As [`compress`], into the file that `create` makes for the plain one at a path.
fn compress_into(
    log: &Path,
    stamp: Stamp,
    stop: &Stop<'_>,
    create: impl FnOnce(&Metadata, &Path) -> io::Result<File>,
) -> Result<(), Error> {
    let [plain, gzip, unfinished] =
        [Form::Plain, Form::Gzip, Form::Unfinished].map(|form| Rotated::new(stamp, form).path(log));
    let written = write_gzip(&plain, &unfinished, stop, create).and_then(|whole| {
        if whole {
            fs::rename(&unfinished, &gzip)
        } else {
            fs::remove_file(&unfinished)
        }
        .map(|()| whole)
    });
    match written {
        Ok(false) => Ok(()),
        Ok(true) => match fs::remove_file(&plain) {
            // The log was removed meanwhile, and this belongs to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&gzip),
            removed => removed.map_err(|e| failed("remove", &plain, e)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            // On a full disk above all.
            remove(&unfinished)?;
            Err(failed("compress", &plain, error))
        }
    }
}

/// Makes the file that the compressed log is written to: new, and for those only who may read the
/// plain one.
fn create_like(plain: &Metadata, path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    fchown(&file, Some(plain.uid()), Some(plain.gid()))?;
    file.set_permissions(plain.permissions())?;
    Ok(file)
}

/// Writes the compressed file with the owner, the mode and the time of the plain one; `false` when
/// it was stopped.
fn write_gzip(
    plain: &Path,
    to: &Path,
    stop: &Stop<'_>,
    create: impl FnOnce(&Metadata, &Path) -> io::Result<File>,
) -> io::Result<bool> {
    let mut from = files::open(plain, Links::Refuse)?;
    let meta = from.metadata()?;
    let mut encoder = GzEncoder::new(create(&meta, to)?, Compression::default());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if stop.is_due() {
            return Ok(false);
        }
        match from.read(&mut chunk)? {
            0 => break,
            count => encoder.write_all(&chunk[..count])?,
        }
    }
    let to = encoder.finish()?;
    // Readers know by it what it was made of.
    let modified = from.metadata()?.modified()?;
    to.set_times(FileTimes::new().set_modified(modified))?;
    to.sync_all()?;
    Ok(true)
}

/// Renames a log's file, unless nobody waits for that any more: then the runtime would write on into
/// the file under its new name.
fn rename_away(log: &Path, rotated: &Path, on: &Progress) -> Result<(), Error> {
    go_on(on, log)?;
    fs::rename(log, rotated).map_err(|e| failed("rename", log, e))?;
    go_on(on, log).or_else(|stopped| rename_back(rotated, log).and(Err(stopped)))
}

/// Gives a log its file back, unless the runtime made a new one although it did not say so.
fn rename_back(rotated: &Path, log: &Path) -> Result<(), Error> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    match renameat2(AT_FDCWD, rotated, AT_FDCWD, log, flags) {
        Ok(()) | Err(nix::errno::Errno::EEXIST | nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(failed("rename back", rotated, error.into())),
    }
}

fn listed(log: &Path) -> Result<Vec<Rotated>, Error> {
    rotated::list(log).map_err(|e| failed("list the rotated files of", log, e))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
