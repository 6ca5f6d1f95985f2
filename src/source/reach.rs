//! Looks at paths that may lie on a mount which never answers, as NFS whose server is gone.
//!
//! Each question is a job of the room `blocking`, in a lane of its path. One that gets no answer in
//! time is an error of this path alone, and the thread that reads manifests goes on with the rest.
//! A mount that did not answer is not waited for again before it does: every other question that
//! comes to it is answered at once, so one thread a mount hangs, and a scan waits once a mount.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use tokio::runtime::Handle;

use crate::blocking::{Blocking, Lane, Progress};
use crate::files::trust::{MOST_LINKS, names};
use crate::files::{self, Links};

/// How long a path is waited for. Local filesystems answer in microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks about paths below the manifests directory.
#[derive(Clone)]
pub(super) struct Reach {
    blocking: Blocking,
    /// The agent's runtime, whose threads the questions are asked on.
    runtime: Handle,
    /// The filesystem that the directory itself is on.
    device: Arc<AtomicU64>,
    /// The mounts that do not answer, with what is said of them.
    hung: Hung,
    /// Whether something got no answer since it was last asked.
    unanswered: Arc<AtomicBool>,
}

/// By the kernel's id of the mount.
type Hung = Arc<Mutex<BTreeMap<u64, String>>>;

/// What is at a path.
pub(super) struct At {
    /// Whether there is anything.
    pub(super) exists: bool,
    /// Whether it is a symbolic link.
    pub(super) linked: bool,
    /// What it is, links followed.
    pub(super) metadata: io::Result<Metadata>,
}

impl Reach {
    /// To be made within the agent's runtime.
    pub(super) fn new(blocking: Blocking) -> Self {
        Self {
            blocking,
            runtime: Handle::current(),
            device: Arc::default(),
            hung: Arc::default(),
            unanswered: Arc::default(),
        }
    }

    /// Remembers on which filesystem the directory itself is; it has answered.
    pub(super) fn begin(&self, device: u64) {
        self.device.store(device, Ordering::Relaxed);
    }

    /// Whether a file is on another filesystem than the directory itself.
    pub(super) fn is_elsewhere(&self, device: u64) -> bool {
        self.device.load(Ordering::Relaxed) != device
    }

    /// Whether something got no answer since this was last asked.
    pub(super) fn take_unanswered(&self) -> bool {
        self.unanswered.swap(false, Ordering::Relaxed)
    }

    /// What is at a path, links followed.
    pub(super) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.ask(path, |path, _| fs::metadata(path))
    }

    /// What is at a path itself, and behind it where it is a link.
    pub(super) fn found(&self, path: &Path) -> io::Result<At> {
        self.ask(path, |path, _| {
            let at = fs::symlink_metadata(path);
            Ok(At {
                linked: at.as_ref().is_ok_and(Metadata::is_symlink),
                exists: at.is_ok(),
                metadata: fs::metadata(path),
            })
        })
    }

    /// What a directory holds.
    pub(super) fn entries(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.ask(path, |path, progress| {
            let entries = fs::read_dir(path)?;
            let step = |entry| {
                progress.step()?;
                entry
            };
            entries.map(step).collect()
        })
    }

    /// Answers a question about a path on another thread.
    ///
    /// # Errors
    ///
    /// As `question`; `TimedOut` where there was no answer.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        path: &Path,
        question: impl FnOnce(&Path, &Progress) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // An own lane: pods that wait or hang must not keep manifests from being read, nor these them.
        let lane = Lane::own(format!("manifests {}", path.display()));
        let path = path.to_owned();
        let way = Way {
            at: Arc::default(),
            hung: Arc::clone(&self.hung),
        };
        let at = Arc::clone(&way.at);
        let _runtime = self.runtime.enter();
        let answer = self.blocking.ask(lane, PATIENCE, move |progress| {
            progress.begin("its filesystem")?;
            way.go(&path)?;
            let answer = catch_unwind(AssertUnwindSafe(|| question(&path, progress)));
            let defect = "setlet failed to look at it, which is a defect of setlet";
            answer.unwrap_or_else(|_| Err(io::Error::other(defect)))
        });
        let answer = answer.unwrap_or_else(|unanswered| {
            let why = unanswered.to_string();
            let mut hung = lock(&self.hung);
            if let Some(mount) = *lock(&at) {
                hung.insert(mount, why.clone());
            }
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        });
        if is_unanswered(&answer) {
            self.unanswered.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// The way of one question to its path.
struct Way {
    /// The mount it has come to and waits for; `None` when it is done.
    at: Arc<Mutex<Option<u64>>>,
    hung: Hung,
}

impl Way {
    /// Goes to a path without a look at a mount that is known not to answer. Whatever else is wrong
    /// with the path is left to the question.
    fn go(&self, path: &Path) -> io::Result<()> {
        let mut above = vec![files::hold(Path::new("/"), Links::Follow)?];
        let mut left = names(path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            let Some(directory) = above.last() else {
                return Ok(());
            };
            self.come_to(directory)?;
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let Ok(found) = openat(directory, name.as_os_str(), flags, Mode::empty()) else {
                return Ok(());
            };
            self.come_to(&found)?;
            let Ok(stat) = fstat(&found) else {
                return Ok(());
            };
            if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
                above.push(found);
                continue;
            }
            links += 1;
            let Ok(target) = readlinkat(&found, OsStr::new("")) else {
                return Ok(());
            };
            if links > MOST_LINKS {
                return Ok(());
            }
            let target = PathBuf::from(target);
            if target.is_absolute() {
                above.truncate(1);
            }
            let mut next = names(&target);
            next.append(&mut left);
            left = next;
        }
        Ok(())
    }

    /// Remembers which mount is asked next; an error where it is known not to answer.
    fn come_to(&self, found: &OwnedFd) -> io::Result<()> {
        let mount = mount_of(found);
        let hung = lock(&self.hung);
        let mut at = lock(&self.at);
        *at = None;
        if let Some(why) = mount.and_then(|mount| hung.get(&mount)) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, why.clone()));
        }
        *at = mount;
        Ok(())
    }
}

/// A mount that a question comes back from answers again.
impl Drop for Way {
    fn drop(&mut self) {
        let mut hung = lock(&self.hung);
        if let Some(mount) = lock(&self.at).take() {
            hung.remove(&mount);
        }
    }
}

/// The kernel's id of the mount that a descriptor is on. Its filesystem is not asked
/// (`proc_pid_fdinfo(5)`).
fn mount_of(found: &OwnedFd) -> Option<u64> {
    let info = files::read_text(
        Path::new(&format!("/proc/self/fdinfo/{}", found.as_raw_fd())),
        64 << 10,
    )
    .ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    id.trim().parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one insertion, removal or value: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a question got no answer, so that nothing is known of its path.
fn is_unanswered<T>(answer: &io::Result<T>) -> bool {
    matches!(answer, Err(error) if error.kind() == io::ErrorKind::TimedOut)
}
