//! Tells those who follow logs that something happened to their log's file. All of them share one
//! inotify instance: a user may have few (`fs.inotify.max_user_instances`), and root's are not the
//! agent's alone.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::blocking::{Blocking, Lane};

/// Watches of the directories of logs that are followed. Clones are the same watches.
#[derive(Clone, Default)]
pub struct Watches(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// There while anybody follows. Held before `followers`, and never by the watcher's own thread;
    /// and waited for only on a thread of file work, because beginning to watch may hang.
    watcher: Mutex<Option<Watching>>,
    followers: Followers,
}

struct Watching {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

/// By directory, as the watcher names it.
type Followers = Arc<Mutex<HashMap<PathBuf, Vec<Follower>>>>;

struct Follower {
    name: OsString,
    changed: mpsc::Sender<()>,
}

/// One watched file; dropping it ends the watch.
pub(super) struct Watch {
    shared: Arc<Shared>,
    directory: PathBuf,
    pub(super) changes: mpsc::Receiver<()>,
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl Watches {
    /// Watches a file by its directory, because the file at the path may become another one. `None`
    /// where inotify cannot be had, for example when the user's watches are used up, or where the
    /// directory does not answer.
    pub(super) async fn watch(&self, path: &Path, blocking: &Blocking) -> Option<Watch> {
        let (shared, path) = (Arc::clone(&self.0), path.to_owned());
        let lane = Lane::own("the watches of container logs");
        let watch = blocking.run(lane, move |on| {
            on.begin(path.display().to_string()).ok()?;
            begin(&shared, &path)
        });
        watch.await.ok().flatten()
    }
}

/// Begins to watch; blocks.
fn begin(shared: &Arc<Shared>, path: &Path) -> Option<Watch> {
    let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
    let (changed, changes) = mpsc::channel(1);
    let mut watching = lock(&shared.watcher);
    let mut followers = lock(&shared.followers);
    let those = followers.entry(directory.clone()).or_default();
    those.push(Follower { name, changed });
    drop(followers);
    let watch = Watch {
        shared: Arc::clone(shared),
        directory,
        changes,
    };
    let watched = watch_directory(&mut watching, &shared.followers, &watch.directory);
    // Ending the watch takes the watcher again.
    drop(watching);
    // Others may have ended theirs meanwhile.
    shared.tidy();
    watched.then_some(watch)
}

/// Has the one watcher watch a directory, again where it does so already: that one may have been
/// removed and made anew.
fn watch_directory(
    watching: &mut Option<Watching>,
    followers: &Followers,
    directory: &Path,
) -> bool {
    if watching.is_none() {
        let followers = Arc::clone(followers);
        let watcher = notify::recommended_watcher(move |event| tell(&followers, &event)).ok();
        *watching = watcher.map(|watcher| Watching {
            watcher,
            directories: BTreeSet::new(),
        });
    }
    let Some(watching) = watching else {
        return false;
    };
    watching.directories.insert(directory.to_owned());
    let watched = watching
        .watcher
        .watch(directory, RecursiveMode::NonRecursive);
    watched.is_ok()
}

impl Shared {
    /// Ends what nobody follows any more. Whoever begins to watch meanwhile does so in the end.
    fn tidy(&self) {
        let mut watching = match self.watcher.try_lock() {
            Ok(watching) => watching,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let followers = lock(&self.followers);
        if followers.is_empty() {
            drop(followers);
            *watching = None;
            return;
        }
        let Some(watching) = watching.as_mut() else {
            return;
        };
        let is_over = |directory: &PathBuf| !followers.contains_key(directory);
        let over: Vec<_> = watching.directories.extract_if(.., is_over).collect();
        drop(followers);
        for directory in over {
            // A directory that is gone is not watched any more.
            watching.watcher.unwatch(&directory).ok();
        }
    }
}

/// Tells whose file it was; everybody, where that is not known.
fn tell(followers: &Followers, event: &notify::Result<notify::Event>) {
    let followers = lock(followers);
    // Full means that a look is due already.
    let told = |follower: &Follower| {
        let _ = follower.changed.try_send(());
    };
    match event {
        Ok(event) if event.need_rescan() => followers.values().flatten().for_each(told),
        Ok(event) if event.kind.is_access() => {}
        Ok(event) => {
            for path in &event.paths {
                let those = path.parent().and_then(|above| followers.get(above));
                let those = those.into_iter().flatten();
                those
                    .filter(|f| path.file_name() == Some(&f.name))
                    .for_each(told);
            }
        }
        Err(_) => followers.values().flatten().for_each(told),
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changes.close();
        let mut followers = lock(&self.shared.followers);
        let those = followers.entry(self.directory.clone()).or_default();
        those.retain(|follower| !follower.changed.is_closed());
        if those.is_empty() {
            followers.remove(&self.directory);
        }
        drop(followers);
        self.shared.tidy();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
