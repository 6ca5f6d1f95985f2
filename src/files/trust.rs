//! Whether somebody else than root could change what stands at a path, decided on what is opened.
//!
//! A path is gone step by step, each name opened in the directory before it (`openat`), links
//! included. Every directory on the way counts, because whoever can write one can replace what is
//! below it. A sticky directory such as `/tmp` takes that away again, but for what others put there
//! themselves: a link in it counts by its own owner. Nothing is looked at by its path a second time,
//! so nothing can be changed between the look and the use.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::{Links, hold};

/// So many links are followed, as the kernel does.
pub(crate) const MOST_LINKS: usize = 40;

/// Owner and permissions of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// `st_mode`, with the type.
    pub mode: u32,
}

/// What stands at a path, held (`O_PATH`), with who else could change it.
#[derive(Debug)]
pub struct Held {
    /// It.
    pub found: OwnedFd,
    /// Why it is not trusted, with path, owner and mode; `None` where only root, or the process's
    /// own user, could change it.
    pub distrust: Option<String>,
}

/// Goes to what stands at a path. What makes one of the steps untrusted is in the result.
///
/// # Errors
///
/// There is nothing, or the way there is barred.
pub fn go(path: &Path) -> io::Result<Held> {
    let own = nix::unistd::geteuid().as_raw();
    let mut walk = Walk {
        own,
        above: Vec::new(),
        names: names(&std::path::absolute(path)?),
        distrust: None,
    };
    let root = hold(Path::new("/"), Links::Follow)?;
    let stat = fstat(&root)?;
    walk.enter(PathBuf::from("/"), root, &stat);
    walk.arrive()
}

/// As [`go`], and refuses what is not trusted.
///
/// # Errors
///
/// As [`go`]; `PermissionDenied` where somebody else could change what is there, with a text that
/// says who, where, and what would be right.
pub fn insist(path: &Path) -> io::Result<OwnedFd> {
    let held = go(path)?;
    match held.distrust {
        None => Ok(held.found),
        Some(why) => {
            let message = format!("{why}; make it writable by root only");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
        }
    }
}

/// A path on the way.
struct Walk {
    own: u32,
    /// The directories from the root on.
    above: Vec<Above>,
    /// What is still to go.
    names: VecDeque<OsString>,
    distrust: Option<String>,
}

/// A directory on the way.
struct Above {
    path: PathBuf,
    found: OwnedFd,
    /// Whether anybody may put things into it.
    sticky: bool,
}

impl Walk {
    fn arrive(mut self) -> io::Result<Held> {
        let mut links = 0;
        while let Some(name) = self.names.pop_front() {
            if name == ".." {
                if self.above.len() > 1 {
                    self.above.pop();
                }
                continue;
            }
            let directory = &self.above[self.above.len() - 1];
            let path = directory.path.join(&name);
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = openat(&directory.found, name.as_os_str(), flags, Mode::empty())?;
            let stat = fstat(&found)?;
            match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
                SFlag::S_IFLNK => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    self.follow(&path, &found, &stat)?;
                }
                SFlag::S_IFDIR => {
                    self.enter(path, found, &stat);
                }
                _ if !self.names.is_empty() => return Err(Errno::ENOTDIR.into()),
                _ => {
                    self.judge(&path, found.as_raw_fd(), &stat);
                    return Ok(Held {
                        found,
                        distrust: self.distrust,
                    });
                }
            }
        }
        let last = self.above.pop().ok_or(Errno::ENOENT)?;
        Ok(Held {
            found: last.found,
            distrust: self.distrust,
        })
    }

    fn enter(&mut self, path: PathBuf, found: OwnedFd, stat: &FileStat) {
        self.judge(&path, found.as_raw_fd(), stat);
        let sticky = is_sticky(stat.st_mode);
        self.above.push(Above {
            path,
            found,
            sticky,
        });
    }

    fn follow(&mut self, path: &Path, link: &OwnedFd, stat: &FileStat) -> io::Result<()> {
        let sticky = self.above.last().is_some_and(|directory| directory.sticky);
        if sticky && stat.st_uid != 0 && stat.st_uid != self.own {
            self.distrust.get_or_insert_with(|| {
                format!(
                    "{} is a link of user {}, who could change where it leads",
                    path.display(),
                    stat.st_uid
                )
            });
        }
        let target = PathBuf::from(readlinkat(link, OsStr::new(""))?);
        if target.is_absolute() {
            self.above.truncate(1);
        }
        let mut names = names(&target);
        names.append(&mut self.names);
        self.names = names;
        Ok(())
    }

    /// Takes note of who could change a directory or file; the first reason counts.
    fn judge(&mut self, path: &Path, found: RawFd, stat: &FileStat) {
        let owner = Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode,
        };
        if self.distrust.is_none() {
            let lists = format!("/proc/self/fd/{found}");
            let what = if is_directory(owner.mode) {
                format!("the directory {}", path.display())
            } else {
                path.display().to_string()
            };
            self.distrust = distrust(&what, owner, self.own, Path::new(&lists));
        }
    }
}

/// The steps of a path, from the root or from where it begins; `..` is one.
pub(crate) fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

fn is_directory(mode: u32) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

fn is_sticky(mode: u32) -> bool {
    is_directory(mode) && mode & 0o1000 != 0
}

/// Why a file or directory is not trusted; `None` where it is. `own` is the process's own user;
/// `lists` is a path by which its access control lists can be read.
#[must_use]
pub fn distrust(what: &str, owner: Owner, own: u32, lists: &Path) -> Option<String> {
    let Owner { uid, gid, mode } = owner;
    let permissions = mode & 0o7777;
    if uid != 0 && uid != own {
        return Some(format!(
            "{what} is owned by user {uid} (mode {permissions:04o}), who could change it"
        ));
    }
    if is_directory(mode)
        && let Some(who) = writer(lists, "system.posix_acl_default")
    {
        return Some(format!(
            "{what} (mode {permissions:04o}, owner {uid}) gives {who} what is made in it, by its \
             default access control list"
        ));
    }
    if is_sticky(mode) {
        return None;
    }
    if mode & 0o002 != 0 {
        return Some(format!(
            "{what} is writable by every user (mode {permissions:04o}, owner {uid})"
        ));
    }
    // Where there is a list, these are its mask.
    if mode & 0o020 != 0 {
        let group = || format!("group {gid}");
        let who = match list_of(lists, "system.posix_acl_access") {
            Some(list) => named_writer(&list).or_else(|| group_writes(&list).then(group)),
            None => Some(group()),
        };
        return who.map(|who| {
            format!("{what} is writable by {who} (mode {permissions:04o}, owner {uid})")
        });
    }
    None
}

/// The first user or group that an access control list names and lets write.
fn writer(path: &Path, list: &str) -> Option<String> {
    named_writer(&list_of(path, list)?)
}

fn list_of(path: &Path, list: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64 << 10);
    rustix::fs::getxattr(path, list, rustix::buffer::spare_capacity(&mut bytes)).ok()?;
    Some(bytes)
}

/// Whether a list lets the owning group write, where its mask does; also where it does not tell.
fn group_writes(list: &[u8]) -> bool {
    const OWNING_GROUP: u16 = 0x04;
    let group = entries(list).find(|(tag, ..)| *tag == OWNING_GROUP);
    group.is_none_or(|(_, permissions, _)| permissions & WRITE != 0)
}

/// The permission to write, in an entry of a list.
const WRITE: u16 = 2;

/// Tag, permissions and id of each entry of a list as the kernel keeps it, after its version
/// (`linux/posix_acl_xattr.h`).
fn entries(list: &[u8]) -> impl Iterator<Item = (u16, u16, u32)> {
    let entries = list.get(4..).unwrap_or_default().chunks_exact(8);
    entries.map(|entry| {
        let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        (short(0), short(2), id)
    })
}

/// The first user or group that a list names and lets write, its mask considered.
fn named_writer(list: &[u8]) -> Option<String> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    let entries: Vec<(u16, u16, u32)> = entries(list).collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK);
    if mask.is_some_and(|(_, permissions, _)| permissions & WRITE == 0) {
        return None;
    }
    let named = entries.iter().find(|(tag, permissions, id)| {
        [USER, GROUP].contains(tag) && permissions & WRITE != 0 && !(*tag == USER && *id == 0)
    });
    let (tag, _, id) = named?;
    let kind = if *tag == USER { "user" } else { "group" };
    Some(format!("{kind} {id}"))
}

#[cfg(test)]
mod tests;
