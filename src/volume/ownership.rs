//! fsGroup: gives a volume to a group.
//!
//! Follows kubelet v1.36's `SetVolumeOwnership`: the group, group access to everything, and the
//! group bit on directories, so that new files are the group's too.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

/// What the group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Read and write.
    ReadWrite,
    /// Read alone: the volume's content is the agent's.
    Read,
}

/// Gives everything at and below a path to a group; links are given, not followed.
pub(super) fn give(path: &Path, group: u32, access: Access) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    lchown(path, None, Some(group))?;
    if found.is_symlink() {
        return Ok(());
    }
    let wanted = match access {
        Access::ReadWrite => 0o660,
        Access::Read => 0o440,
    };
    let mut mode = found.permissions().mode() & 0o7777 | wanted;
    if found.is_dir() {
        mode |= 0o2110;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, access)?;
        }
    }
    Ok(())
}
