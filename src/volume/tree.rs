//! Walks and removes trees of files however deep they are.
//!
//! A container makes what it likes: directories below each other past `PATH_MAX`, and far past what
//! recursion or one descriptor a level can bear. So the walk goes by descriptors, one name at a time,
//! keeps few of them open, and comes back through `..`, where it makes sure that it is where it was.
//! It follows no link, opens nothing but directories, and goes into no other mount.

mod remove;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat, fstat, openat,
    openat2, seek, statat,
};
use rustix::io::Errno;

pub(super) use remove::remove;

/// So many directories are kept open, besides the first.
const OPEN: usize = 32;
/// So much of a path is told in a message.
const TOLD: usize = 512;

/// What the walk came to.
#[derive(Debug)]
pub(super) enum Found {
    /// A directory, whose own descriptor [`Walk::at`] is now; the first comes first.
    Entered,
    /// Anything but a directory: [`Walk::name`] in [`Walk::at`].
    Other,
    /// The end of a directory, which is [`Walk::name`] in [`Walk::at`] again.
    Left,
    /// Something that cannot be read, or is another mount (`EXDEV`), and is left out.
    Unread(io::Error),
    /// Directories were moved away meanwhile: what was left to do in them is left out.
    Lost,
}

/// A walk over everything at and below a directory, each directory before what is in it.
pub(super) struct Walk {
    path: PathBuf,
    /// The directories from the first to where the walk is. The first and the last are open.
    frames: Vec<Frame>,
    /// What was found last.
    name: CString,
    begun: bool,
}

/// A directory that is not done yet.
struct Frame {
    name: CString,
    id: (u64, u64),
    /// Where its list of entries is to go on, once it was closed meanwhile.
    next: i64,
    dir: Option<Dir>,
}

impl Walk {
    /// Begins at a directory.
    ///
    /// # Errors
    /// It cannot be opened, or is none: a link is not followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let opened = openat(CWD, path, flags(), Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            frames: vec![Frame::new(opened, CString::default())?],
            name: CString::default(),
            begun: false,
        })
    }

    /// Goes on; none at the end. What is no longer there is passed over.
    ///
    /// # Errors
    /// The first directory can no longer be read.
    pub fn next(&mut self) -> io::Result<Option<Found>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Some(Found::Entered));
        }
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(None);
            };
            let Some(read) = frame.dir.as_mut().and_then(Dir::read) else {
                return Ok(self.leave());
            };
            let entry = match read {
                Ok(entry) => entry,
                Err(Errno::NOENT) => return Ok(self.leave()),
                // The next read ends the directory.
                Err(error) => return Ok(Some(Found::Unread(error.into()))),
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            frame.next = entry.offset();
            self.name = entry.file_name().to_owned();
            let kind = match entry.file_type() {
                FileType::Unknown => match self.stat() {
                    Ok(found) => FileType::from_raw_mode(found.st_mode),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Ok(Some(Found::Unread(error))),
                },
                kind => kind,
            };
            if kind != FileType::Directory {
                return Ok(Some(Found::Other));
            }
            match self.enter() {
                Ok(()) => return Ok(Some(Found::Entered)),
                Err(Errno::NOENT) => {}
                // It was exchanged for something else.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Some(Found::Other)),
                Err(error) => return Ok(Some(Found::Unread(error.into()))),
            }
        }
    }

    /// The directory the walk is in.
    ///
    /// # Errors
    /// The walk is over.
    pub fn at(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.top()?)
    }

    /// The name in it that was found.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// What was found is, itself and not what it links to.
    ///
    /// # Errors
    /// It is not there any more, or the system refuses.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(statat(
            self.top()?,
            self.name.as_c_str(),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Adds to an error where it happened, as far as that fits a message.
    pub fn locate(&self, error: &io::Error) -> io::Error {
        let mut path = self.path.clone();
        let names = self.frames.iter().skip(1).map(|frame| &frame.name);
        for name in names.chain([&self.name]) {
            path.push(OsStr::from_bytes(name.to_bytes()));
            if path.as_os_str().len() > TOLD {
                path.push("…");
                break;
            }
        }
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    }

    fn top(&self) -> Result<BorrowedFd<'_>, Errno> {
        let dir = self.frames.last().and_then(|frame| frame.dir.as_ref());
        dir.ok_or(Errno::BADF)?.fd()
    }

    fn enter(&mut self) -> Result<(), Errno> {
        let opened = open_directory(self.top()?, &self.name)?;
        self.frames.push(Frame::new(opened, self.name.clone())?);
        let oldest = self.frames.len().saturating_sub(OPEN + 1);
        if let Some(frame) = self.frames.get_mut(oldest).filter(|_| oldest > 0) {
            frame.dir = None;
        }
        Ok(())
    }

    /// Goes back to the directory above.
    fn leave(&mut self) -> Option<Found> {
        let left = self.frames.pop()?;
        self.name = left.name;
        let above = self.frames.last_mut()?;
        if above.dir.is_none() && left.dir.is_none_or(|dir| above.reopen(&dir).is_err()) {
            self.frames.truncate(1);
            return Some(Found::Lost);
        }
        Some(Found::Left)
    }
}

impl Frame {
    fn new(opened: OwnedFd, name: CString) -> Result<Self, Errno> {
        let found = fstat(&opened)?;
        Ok(Self {
            name,
            id: (found.st_dev, found.st_ino),
            next: 0,
            dir: Some(Dir::new(opened)?),
        })
    }

    /// Opens it again through what is in it, to go on where it was closed.
    fn reopen(&mut self, below: &Dir) -> Result<(), Errno> {
        let opened = openat(below.fd()?, c"..", flags(), Mode::empty())?;
        let found = fstat(&opened)?;
        if (found.st_dev, found.st_ino) != self.id {
            return Err(Errno::STALE);
        }
        seek(&opened, SeekFrom::Start(self.next.cast_unsigned()))?;
        self.dir = Some(Dir::new(opened)?);
        Ok(())
    }
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens a directory by its name in another, unless it is on another mount.
fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match openat2(at, name, flags(), Mode::empty(), ResolveFlags::NO_XDEV) {
        // A kernel before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS) => {}
        opened => return opened,
    }
    let opened = openat(at, name, flags(), Mode::empty())?;
    if fstat(opened.as_fd())?.st_dev != fstat(at)?.st_dev {
        return Err(Errno::XDEV);
    }
    Ok(opened)
}
