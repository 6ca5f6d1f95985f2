//! The unix socket the API is served on.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};

use tokio::net::{UnixListener, UnixStream};

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BindError {
    #[error("{0} is in use: another agent answers on it")]
    InUse(PathBuf),
    #[error("{0} is there and is no socket; remove it or set paths.run")]
    NoSocket(PathBuf),
    #[error("cannot make the socket {path}: {source}")]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot give the socket {path} to group {group}: {source}")]
    Group {
        path: PathBuf,
        group: String,
        source: io::Error,
    },
}

/// Makes the socket, mode 0660 and of `group` where that group exists, with its directory. A
/// socket nobody answers on is replaced, one somebody answers on is not.
///
/// # Errors
///
/// When another agent is there, or the file system refuses.
pub async fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener, BindError> {
    let make = |source| BindError::Make {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        tokio::fs::create_dir_all(directory).await.map_err(make)?;
    }
    remove_stale(path).await?;
    let unheard = name(path).map_err(make)?;
    if let Some(group) = group {
        give(path, group)?;
    }
    listen(unheard).map_err(make)
}

/// Gives a new socket its name and its mode. Nobody can connect before somebody listens on it, so
/// that nobody ever has more rights than these.
fn name(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let unheard = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::bind(unheard.as_raw_fd(), &UnixAddr::new(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(unheard)
}

fn listen(socket: OwnedFd) -> io::Result<UnixListener> {
    socket::listen(&socket, Backlog::MAXCONN)?;
    UnixListener::from_std(socket.into())
}

/// Takes away the socket of an agent that has ended; one that is not there is gone.
///
/// # Errors
///
/// When an agent answers on it, or it is no socket.
pub async fn unbind(path: &Path) -> Result<(), BindError> {
    remove_stale(path).await
}

async fn remove_stale(path: &Path) -> Result<(), BindError> {
    use std::os::unix::fs::FileTypeExt;
    let make = |source| BindError::Make {
        path: path.to_owned(),
        source,
    };
    match tokio::fs::symlink_metadata(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(make(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tokio::fs::remove_file(path).await.map_err(make)
        }
        Err(error) => Err(make(error)),
    }
}

/// Gives the socket to a group; a group that does not exist leaves it with root's.
fn give(path: &Path, group: &str) -> Result<(), BindError> {
    let wrong = |errno| BindError::Group {
        path: path.to_owned(),
        group: group.to_owned(),
        source: io::Error::from(errno),
    };
    match nix::unistd::Group::from_name(group).map_err(wrong)? {
        Some(found) => nix::unistd::chown(path, None, Some(found.gid)).map_err(wrong),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_connects_before_the_mode_is_right() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("setlet.sock");
        let unheard = name(&path).expect("a socket");
        let early = UnixStream::connect(&path).await.expect_err("too early");
        assert_eq!(early.kind(), io::ErrorKind::ConnectionRefused);
        let mode = path.metadata().expect("it").permissions().mode();
        assert_eq!(mode & 0o7777, 0o660);
        let listener = listen(unheard).expect("it listens");
        UnixStream::connect(&path).await.expect("connected");
        listener.accept().await.expect("accepted");
    }
}
