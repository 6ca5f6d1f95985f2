//! Volumes whose content is the agent's to write: on disk, or in memory for what is secret.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::writer::{self, File};
use super::{Context, Error, mounts, ownership};

/// Where a volume lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// A directory of the state directory's file system.
    Disk,
    /// A tmpfs, never on disk in clear.
    Memory,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// The kind in its path, for example `configmap`.
    pub kind: &'static str,
    /// Where it lies.
    pub medium: Medium,
    /// Its files by their paths in the volume.
    pub files: BTreeMap<String, File>,
}

/// Makes the volume and brings its content up to date.
pub(super) fn prepare(
    context: &Context<'_>,
    volume: &str,
    payload: &Payload,
) -> Result<PathBuf, Error> {
    let path = context.directory(payload.kind, volume);
    context.make(volume, &path)?;
    match payload.medium {
        Medium::Memory => mounts::tmpfs(&path, context.tmpfs_bytes(None), context.fs_group())
            .map_err(Error::io(volume, "mount tmpfs on", &path))?,
        Medium::Disk => fs::set_permissions(&path, Permissions::from_mode(0o777))
            .map_err(Error::io(volume, "chmod", &path))?,
    }
    let group = context.fs_group();
    writer::write(&path, &payload.files, group, context.progress).map_err(Error::io(
        volume,
        "write the content of",
        &path,
    ))?;
    if let Some(group) = group {
        let access = ownership::Access::Read;
        ownership::give(&path, group, access, context.progress).map_err(Error::io(
            volume,
            "set the group of",
            &path,
        ))?;
    }
    Ok(path)
}
