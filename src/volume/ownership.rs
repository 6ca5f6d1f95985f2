//! fsGroup: gives a volume to a group.
//!
//! Follows kubelet v1.36's `SetVolumeOwnership`: the group, group access to everything, and the
//! group bit on directories, so that new files are the group's too.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, chmodat, chownat, fchmod, fchown, fstat,
    openat,
};
use rustix::io::Errno;

use super::tree::{Found, Walk};
use crate::blocking::Progress;

/// What the group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Read and write.
    ReadWrite,
    /// Read alone: the volume's content is the agent's.
    Read,
}

/// Gives everything at and below a directory to a group; links are given, not followed.
pub(super) fn give(path: &Path, group: u32, access: Access, progress: &Progress) -> io::Result<()> {
    let group = Some(Gid::from_raw(group));
    let mut walk = Walk::open(path)?;
    while let Some(found) = walk.next()? {
        progress.step()?;
        match found {
            Found::Left => {}
            Found::Unread(error) => return Err(walk.locate(&error)),
            Found::Lost => return Err(io::Error::other("it was moved meanwhile")),
            Found::Entered => {
                let mode = wanted(&fstat(walk.at()?)?, access) | Mode::SGID | Mode::XGRP;
                fchown(walk.at()?, None, group)?;
                fchmod(walk.at()?, mode)?;
            }
            Found::Other => match held(walk.at()?, walk.name()) {
                // What is no longer there is nobody's.
                Err(Errno::NOENT) => {}
                held => give_held(&held?, group, access)?,
            },
        }
    }
    Ok(())
}

/// Takes hold of what has a name in a directory, be it a link.
fn held(at: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Gives what is held, whatever its name has become: a container may exchange it for a link meanwhile.
fn give_held(held: &OwnedFd, group: Option<Gid>, access: Access) -> io::Result<()> {
    let found = fstat(held)?;
    chownat(held, c"", None, group, AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
        // Such a descriptor has no other way (fchmod refuses it).
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        chmodat(CWD, path, wanted(&found, access), AtFlags::empty())?;
    }
    Ok(())
}

fn wanted(found: &Stat, access: Access) -> Mode {
    let added = match access {
        Access::ReadWrite => Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP,
        Access::Read => Mode::RUSR | Mode::RGRP,
    };
    Mode::from_raw_mode(found.st_mode) | added
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn everything_in_a_tree_past_path_max_is_given_and_no_link_followed() {
        let root = tempfile::tempdir().expect("a directory");
        let (tree, outside) = (root.path().join("tree"), root.path().join("outside"));
        fs::create_dir(&tree).expect("a directory");
        fs::File::create(&outside).expect("a file");
        let before = outside.metadata().expect("there");
        // Each is moved into the next: no path of it is ever long.
        for _ in 0..60 {
            let above = root.path().join("above");
            fs::create_dir(&above).expect("a directory");
            fs::File::create(above.join("file")).expect("a file");
            fs::rename(&tree, above.join("d".repeat(100))).expect("moved");
            fs::rename(&above, &tree).expect("moved");
        }
        symlink(&outside, tree.join("link")).expect("a link");
        give(&tree, 4242, Access::ReadWrite, &Progress::default()).expect("given");
        let mut walk = Walk::open(&tree).expect("opened");
        let mut given = 0;
        while let Some(found) = walk.next().expect("it goes on") {
            let is = match found {
                Found::Entered => fstat(walk.at().expect("open")).expect("there"),
                Found::Other => walk.stat().expect("there"),
                _ => continue,
            };
            assert_eq!(is.st_gid, 4242);
            match FileType::from_raw_mode(is.st_mode) {
                FileType::Directory => assert_eq!(is.st_mode & 0o2070, 0o2070),
                FileType::RegularFile => assert_eq!(is.st_mode & 0o060, 0o060),
                _ => {}
            }
            given += 1;
        }
        assert_eq!(given, 61 + 60 + 1);
        let after = outside.metadata().expect("there");
        assert_eq!((before.gid(), before.mode()), (after.gid(), after.mode()));
    }

    #[test]
    fn a_file_that_is_exchanged_for_a_link_meanwhile_is_given_and_not_what_it_links_to() {
        let root = tempfile::tempdir().expect("a directory");
        let (volume, outside) = (root.path().join("volume"), root.path().join("outside"));
        fs::create_dir(&volume).expect("a directory");
        for path in [&outside, &volume.join("file")] {
            fs::File::create(path).expect("a file");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(path, mode).expect("changed");
        }
        let before = outside.metadata().expect("there");
        let directory = fs::File::open(&volume).expect("opened");
        let held = held(&directory, c"file").expect("held");
        fs::rename(volume.join("file"), volume.join("moved")).expect("moved");
        symlink(&outside, volume.join("file")).expect("a link");
        let group = Some(Gid::from_raw(4242));
        give_held(&held, group, Access::ReadWrite).expect("given");
        let moved = volume.join("moved").metadata().expect("there");
        assert_eq!((moved.gid(), moved.mode() & 0o777), (4242, 0o660));
        let after = outside.metadata().expect("there");
        assert_eq!((before.gid(), before.mode()), (after.gid(), after.mode()));
    }
}
