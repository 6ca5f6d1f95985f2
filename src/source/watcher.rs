//! Events of the manifests directory, as hints of what to look at. Losing any of them costs at most
//! a rescan interval: one that cannot be had, or that overflows, is no error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use notify::event::{
    AccessKind, AccessMode, CreateKind, Event, EventKind, ModifyKind, RemoveKind, RenameMode,
};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::walk::DirectoryId;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A file was renamed into place.
    Renamed(PathBuf),
    /// A file was closed after writing.
    Closed(PathBuf),
    /// A file was made, empty so far unless it is a link.
    Created(PathBuf),
    /// A file is being written.
    Written(PathBuf),
    /// A file's owner, mode or times changed.
    Touched(PathBuf),
    /// A file, or a directory, is gone.
    Gone(PathBuf),
    /// A directory came or went.
    Directory(PathBuf),
    /// Something that only a scan can tell.
    Anything,
}

/// How many events wait before they are given up for a scan.
const QUEUE: usize = 4096;

/// Watches directories, each by itself.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, DirectoryId>,
    complained: BTreeSet<PathBuf>,
}

/// The receiving end of events.
pub(super) struct Changes {
    queue: mpsc::Receiver<Change>,
    lost: mpsc::Receiver<()>,
}

/// Begins to watch nothing; directories are added by [`Events::enter`].
pub(super) fn events(root: &Path) -> (Events, Changes) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let (overflow, lost) = mpsc::channel(1);
    let below = root.to_owned();
    let handler = move |event: notify::Result<Event>| {
        for change in interpret(event, &below) {
            if sender.try_send(change).is_err() {
                // A full channel already says it.
                overflow.try_send(()).ok();
            }
        }
    };
    let watcher = notify::recommended_watcher(handler)
        .inspect_err(|error| {
            tracing::warn!(%error, "no file events: manifests are only seen at rescans; raise \
                fs.inotify.max_user_instances");
        })
        .ok();
    let events = Events {
        watcher,
        watched: BTreeMap::new(),
        complained: BTreeSet::new(),
    };
    (events, Changes { queue, lost })
}

impl Events {
    /// Watches a directory, unless this very one is watched already.
    pub(super) fn enter(&mut self, path: &Path, id: DirectoryId) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if self.watched.get(path) == Some(&id) {
            return;
        }
        if self.watched.remove(path).is_some() {
            // It may be another directory by now, whose predecessor's watch is gone already.
            watcher.unwatch(path).ok();
        }
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.watched.insert(path.to_owned(), id)),
            // Not there, or no watches left. It is tried again at every scan, so say it once.
            Err(error) if self.complained.insert(path.to_owned()) => {
                tracing::warn!(path = %path.display(), %error, "no file events: only seen at rescans");
            }
            Err(_) => {}
        }
    }

    /// Forgets that a directory and those below it are watched: what is entered there next may be
    /// another one, even with the same inode.
    pub(super) fn leave(&mut self, gone: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        self.watched.retain(|path, _| {
            let stays = !path.starts_with(gone);
            if !stays {
                // Where the kernel ended the watch already this fails, as it should.
                watcher.unwatch(path).ok();
            }
            stays
        });
    }
}

impl Changes {
    /// The next change; [`Change::Anything`] when some were lost.
    pub(super) async fn next(&mut self) -> Change {
        tokio::select! {
            biased;
            Some(()) = self.lost.recv() => {
                while self.queue.try_recv().is_ok() {}
                Change::Anything
            }
            Some(change) = self.queue.recv() => change,
            // Without a watcher there are no events, ever.
            else => std::future::pending().await,
        }
    }

    /// A change that is there already.
    pub(super) fn ready(&mut self) -> Option<Change> {
        self.queue.try_recv().ok()
    }
}

/// What an event means for the directory `root`; events of its neighbours mean nothing.
fn interpret(event: notify::Result<Event>, root: &Path) -> Vec<Change> {
    let Ok(event) = event else {
        return vec![Change::Anything];
    };
    if event.need_rescan() {
        return vec![Change::Anything];
    }
    let Some(change) = meaning(event.kind) else {
        return Vec::new();
    };
    event
        .paths
        .into_iter()
        .filter(|path| path.starts_with(root))
        .map(|path| {
            if path == root {
                Change::Directory(path)
            } else {
                change(path)
            }
        })
        .collect()
}

fn meaning(kind: EventKind) -> Option<fn(PathBuf) -> Change> {
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Closed,
        // The two halves of a rename come on their own as well.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            return None;
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Change::Renamed,
        EventKind::Modify(ModifyKind::Metadata(_)) => Change::Touched,
        EventKind::Modify(ModifyKind::Name(RenameMode::From))
        | EventKind::Remove(RemoveKind::File) => Change::Gone,
        EventKind::Create(CreateKind::File) => Change::Created,
        EventKind::Modify(ModifyKind::Data(_)) => Change::Written,
        EventKind::Create(_) | EventKind::Remove(_) => Change::Directory,
        _ => |_| Change::Anything,
    })
}
