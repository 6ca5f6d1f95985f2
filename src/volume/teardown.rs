//! Takes away everything that was made on the host for a pod that has ended.
//!
//! Nothing outside is ever touched: mounts are unmounted first, nothing is removed while one is
//! left, and links are removed, not followed. All errors are collected; the rest goes on.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, umount2};

use super::{Error, mounts};
use crate::api::PodKey;
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
    match unmount(&directory) {
        Ok(()) => errors.extend(remove(&directory).err()),
        Err(error) => errors.push(error),
    }
    let logs = paths::log_directory(key, pod_logs);
    errors.extend(unlink(key, &logs, container_logs).err());
    errors.extend(remove(&logs).err());
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Error::Several(errors)),
    }
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
fn unlink(key: &PodKey, logs: &Path, container_logs: &Path) -> Result<(), Error> {
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
        let entry = entry.map_err(failed)?;
        let ours = entry.file_name().to_string_lossy().starts_with(&prefix);
        let target = fs::read_link(entry.path());
        if ours && target.is_ok_and(|target| target.starts_with(logs)) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::Teardown {
            operation: "remove",
            path: directory.to_owned(),
            source: e,
        }),
        _ => Ok(()),
    }
}
