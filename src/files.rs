//! Opens files that others shape: containers, whoever may write beside them, other programs.
//!
//! At a path of theirs may stand a FIFO, which holds whoever opens it; a device, which does
//! something when it is opened; a link to somewhere else; or a file without end. So a path is first
//! only taken hold of (`O_PATH`), what it is is asked of that descriptor, and nothing but a regular
//! file is opened, without waiting. It is read up to a bound that the caller names. Errors are
//! `io::Error`s whose text says what was found.

pub mod trust;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{OFlag, open as open_at_path};
use nix::sys::stat::{Mode, SFlag, fstat};

/// The most bytes that are read of a configuration, of a resolver's or a credentials file.
pub const CONFIGURATION: u64 = 1 << 20;

/// Whether the last name of a path may be a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is followed: an administrator chose the path.
    Follow,
    /// It is refused: the name is the agent's or the runtime's own.
    Refuse,
}

/// Opens a regular file for reading, without waiting for anybody.
///
/// # Errors
///
/// It cannot be opened; or it is no regular file, and the text says what it is.
pub fn open(path: &Path, links: Links) -> io::Result<File> {
    open_found(&hold(path, links)?)
}

/// Opens a regular file for writing under a name of the agent's own, empty: made with this mode at
/// most, or the one that is there.
///
/// # Errors
///
/// It cannot be opened; or something else is there, which is left as it is.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .custom_flags(flags.bits())
        .open(path)?;
    regular(fstat(&file)?.st_mode)?;
    file.set_len(0)?;
    Ok(file)
}

/// Takes hold of what is at a path without opening it (`O_PATH`).
///
/// # Errors
///
/// There is nothing, or the way there is barred.
pub fn hold(path: &Path, links: Links) -> io::Result<OwnedFd> {
    let links = match links {
        Links::Follow => OFlag::empty(),
        Links::Refuse => OFlag::O_NOFOLLOW,
    };
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | links;
    Ok(open_at_path(path, flags, Mode::empty())?)
}

/// Opens for reading what a descriptor of [`hold`] or another `O_PATH` one stands for.
///
/// # Errors
///
/// As [`open`].
pub fn open_found(found: &impl AsFd) -> io::Result<File> {
    let found = found.as_fd();
    regular(fstat(found)?.st_mode)?;
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Whether a mode is a regular file's; an error says what it is instead.
fn regular(mode: u32) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits());
    let what = match kind {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => return Err(io::ErrorKind::IsADirectory.into()),
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    };
    let message = format!("it is {what}, not a regular file");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// A regular file's whole content, if it has at most `max` bytes. Links are followed.
///
/// # Errors
///
/// As [`open`]; it cannot be read, or is larger.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_all(&mut open(path, Links::Follow)?, max)
}

/// As [`read`], of a file that only root, or the process's own user, could have shaped.
///
/// # Errors
///
/// As [`read`]; `PermissionDenied` where somebody else could.
pub fn read_trusted(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_all(&mut open_found(&trust::insist(path)?)?, max)
}

/// As [`read`], as text.
///
/// # Errors
///
/// As [`read`]; and `InvalidData` where it is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    text(read(path, max)?)
}

/// Bytes as text.
///
/// # Errors
///
/// `InvalidData` where they are not UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// What is left of an open file, if that is at most `max` bytes; never more are in memory.
///
/// # Errors
///
/// It cannot be read; `FileTooLarge` where there is more.
pub fn read_all(file: &mut impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("it is larger than {max} bytes, the most that is read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The last `max` bytes of an open file.
///
/// # Errors
///
/// It cannot be read.
pub fn read_end(mut file: File, max: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(max)))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn why(result: io::Result<impl Sized>) -> String {
        result.map(drop).expect_err("refused").to_string()
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).expect("a FIFO");
        let _listener = UnixListener::bind(at("socket")).expect("a socket");
        symlink("fifo", at("link")).expect("a link");
        let open = |name: &str| why(open(&at(name), Links::Follow));
        assert_eq!(open("fifo"), "it is a FIFO, not a regular file");
        assert_eq!(open("link"), "it is a FIFO, not a regular file");
        assert_eq!(open("socket"), "it is a socket, not a regular file");
        assert_eq!(open("."), "is a directory");
        let device = super::open(Path::new("/dev/zero"), Links::Follow);
        assert_eq!(why(device), "it is a device, not a regular file");
        let none = super::open(&at("none"), Links::Follow).expect_err("nothing");
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_link_is_followed_or_refused_as_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        File::create(at("file"))
            .and_then(|mut file| file.write_all(b"text"))
            .expect("a file");
        symlink("file", at("link")).expect("a link");
        assert_eq!(read_text(&at("link"), 4).expect("read"), "text");
        let refused = open(&at("link"), Links::Refuse);
        assert_eq!(why(refused), "it is a symbolic link, not a regular file");
    }

    #[test]
    fn what_is_no_file_is_not_written_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).expect("a FIFO");
        symlink("none", at("link")).expect("a link");
        assert!(create(&at("fifo"), 0o600).is_err());
        assert!(create(&at("link"), 0o600).is_err());
        assert!(!at("none").exists());
        create(&at("file"), 0o600)
            .and_then(|mut file| file.write_all(b"text"))
            .expect("a file");
        assert_eq!(
            create(&at("file"), 0o600)
                .and_then(|f| f.metadata())
                .expect("it")
                .len(),
            0
        );
    }

    #[test]
    fn no_more_than_the_bound_is_read_of_a_file_of_any_size() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("large");
        let mut file = File::create(&path).expect("a file");
        file.set_len(1 << 40).expect("sparse");
        let error = read(&path, 10).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(
            error.to_string().contains("larger than 10 bytes"),
            "{error}"
        );
        file.seek(SeekFrom::End(0)).expect("its end");
        file.write_all(b"end").expect("written");
        let file = open(&path, Links::Refuse).expect("opened");
        assert_eq!(read_end(file, 4).expect("read"), b"\0end");
    }
}
