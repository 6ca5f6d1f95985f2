//! Takes away everything that was made on the host for a pod that has ended.
//!
//! Nothing outside is ever touched: mounts are unmounted first, nothing is removed while one is
//! left, and links are removed, not followed. All errors are collected; the rest goes on. However much
//! there is, it says that it goes on, and ends when it is asked to; it may be repeated.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, umount2};

use super::{Error, mounts, tree};
use crate::api::{PodKey, Uid};
use crate::blocking::Progress;
use crate::model::paths;

/// Unmounts and removes the pod's directory, its logs and the links to them; what is already gone
/// is fine.
///
/// # Errors
///
/// Everything that could not be taken away.
pub fn teardown(
    key: &PodKey,
    pods_root: &Path,
    pod_logs: &Path,
    container_logs: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    let mut errors = Vec::new();
    let directory = paths::pod_directory(key, pods_root);
    if !is_name(key.uid.as_str()) {
        // Such a pod was never made, and what its uid names is not its own.
        return Err(Error::Teardown {
            operation: "remove",
            path: directory,
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    errors.extend(remove_left(&directory, progress).err());
    let logs = paths::log_directory(key, pod_logs);
    errors.extend(unlink(key, &logs, container_logs, progress).err());
    errors.extend(remove(&logs, progress).err());
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Error::Several(errors)),
    }
}

/// Unmounts everything below a pod's directory, then removes it; nothing is removed while a mount is
/// left.
///
/// # Errors
///
/// What could not be taken away.
pub fn remove_left(directory: &Path, progress: &Progress) -> Result<(), Error> {
    progress.begin(format!("unmount {}: it", directory.display()))?;
    unmount(directory)?;
    remove(directory, progress)
}

/// The uids that directories of pods were made for. Anything else that lies there is not the agent's.
///
/// # Errors
///
/// The directory cannot be listed; one that is not there has none.
pub fn made(pods_root: &Path) -> Result<BTreeSet<Uid>, Error> {
    let failed = |source| Error::Teardown {
        operation: "list",
        path: pods_root.to_owned(),
        source,
    };
    let entries = match fs::read_dir(pods_root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut uids = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // A link is none.
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        let name = entry.file_name();
        let uid = name
            .to_str()
            .filter(|name| uuid::Uuid::try_parse(name).is_ok());
        if let Some(uid) = uid.filter(|_| is_directory) {
            uids.insert(Uid::new(uid));
        }
    }
    Ok(uids)
}

/// Whether a uid can name a directory of its own.
fn is_name(uid: &str) -> bool {
    !uid.is_empty() && uid != "." && uid != ".." && !uid.contains('/')
}

fn unmount(directory: &Path) -> Result<(), Error> {
    let failed = |operation, path: &Path, source| Error::Teardown {
        operation,
        path: path.to_owned(),
        source,
    };
    // Mount tables have no links in their paths.
    let directory = match directory.canonicalize() {
        Ok(directory) => directory,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("resolve", directory, e)),
    };
    let points = || mounts::below(&directory).map_err(|e| failed("list mounts of", &directory, e));
    for point in points()? {
        umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .map_err(|e| failed("unmount", &point, e.into()))?;
    }
    match points()?.first() {
        Some(left) => Err(failed(
            "unmount",
            left,
            io::Error::other("it is still mounted"),
        )),
        None => Ok(()),
    }
}

/// Removes the links to the pod's logs.
fn unlink(
    key: &PodKey,
    logs: &Path,
    container_logs: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    let failed = |source| Error::Teardown {
        operation: "remove the log links in",
        path: container_logs.to_owned(),
        source,
    };
    let entries = match fs::read_dir(container_logs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    let prefix = format!("{}_{}_", key.name, key.namespace);
    for entry in entries {
        progress.step()?;
        let entry = entry.map_err(failed)?;
        let ours = entry.file_name().to_string_lossy().starts_with(&prefix);
        let target = fs::read_link(entry.path());
        if ours && target.is_ok_and(|target| target.starts_with(logs)) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn remove(directory: &Path, progress: &Progress) -> Result<(), Error> {
    progress.begin(format!("remove {}: it", directory.display()))?;
    tree::remove(directory, progress).map_err(|source| Error::Teardown {
        operation: "remove",
        path: directory.to_owned(),
        source,
    })
}
