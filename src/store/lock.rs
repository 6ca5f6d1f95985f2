//! One agent per state directory: an exclusive `flock` on `lock`, which the kernel drops with the
//! process, so that no crash leaves it behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::Error;

/// How often a lock that is held is tried again, for it may only be looked at, and how soon.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_millis(10);

/// Holds the lock.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

/// Takes a lock; one that is only looked at by another agent is free again at once.
fn lock(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    for _ in 0..LOOKS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            done => return done,
        }
        std::thread::sleep(LOOK);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
}

/// Whether an agent that lives uses a state directory that is not this agent's `own`.
pub fn is_used_by_other(root: &Path, own: &Path) -> bool {
    !is_same(root, own) && is_used(root)
}

/// Whether two paths lead to one directory.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || one
            .canonicalize()
            .and_then(|one| Ok(one == other.canonicalize()?))
            .unwrap_or(false)
}

/// Whether an agent that lives holds the lock of a state directory. It is looked at for an instant only,
/// which another one that starts waits out.
pub(super) fn is_used(root: &Path) -> bool {
    let options = OpenOptions::new()
        .read(true)
        .custom_flags(flags())
        .open(root.join("lock"));
    let Ok(file) = options else { return false };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => false,
        Err((_, errno)) => errno == Errno::EWOULDBLOCK,
    }
}

/// What is there may be anything by now: a link or a FIFO is no lock.
fn flags() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

/// Writes the own pid over what is there, which needs no room but the first time.
fn write_pid(file: &mut File) -> io::Result<()> {
    let line = format!("{}\n", std::process::id());
    file.rewind()?;
    file.write_all(line.as_bytes())?;
    file.set_len(u64::try_from(line.len()).unwrap_or_default())
}

impl Lock {
    /// Takes the lock of a state directory without waiting, and leaves the own pid in it.
    pub(super) fn take(root: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Open {
            path: root.join("lock"),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(failed)?;
        let mut file = match lock(file) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                // The pid is only for the message.
                drop(file.read_to_string(&mut text));
                return Err(Error::Locked {
                    path: root.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        // The lock is what counts: on a full disk the agent starts all the same.
        drop(write_pid(&mut file));
        Ok(Self { _file: file })
    }
}
