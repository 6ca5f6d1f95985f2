//! File events around the paths that are waited for, as hints to look.
//!
//! Each path's nearest directory that exists is watched, by itself: what is waited for appears there,
//! or a directory nearer to it does. Without inotify there are no hints, which is no error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::api::Condition;

/// What is watched.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    happened: Arc<Notify>,
}

impl Events {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let happened = Arc::new(Notify::new());
        let hint = Arc::clone(&happened);
        let told = move |event: notify::Result<notify::Event>| {
            // A look reads: its own accesses must not lead to the next.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                hint.notify_one();
            }
        };
        Self {
            watcher: notify::recommended_watcher(told).ok(),
            watched: BTreeSet::new(),
            happened,
        }
    }

    /// Watches around these from now on, and around nothing else.
    pub(super) async fn follow(&mut self, asked: &BTreeSet<Condition>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut wanted = BTreeSet::new();
        for condition in asked {
            wanted.extend(nearest(condition).await);
        }
        for gone in self.watched.difference(&wanted) {
            watcher.unwatch(gone).ok();
        }
        // Anew each time: a directory of this name may be another by now.
        for path in &wanted {
            if watcher.watch(path, RecursiveMode::NonRecursive).is_err() {
                // Gone meanwhile, or no watches are left: the next look comes by itself.
                tracing::debug!(path = %path.display(), "no file events: looked at each second");
            }
        }
        self.watched = wanted;
    }

    /// Waits until something happened.
    pub(super) async fn next(&self) {
        self.happened.notified().await;
    }
}

/// The nearest directory above what is waited for. A mount that hangs keeps nobody else waiting.
async fn nearest(condition: &Condition) -> Option<PathBuf> {
    let (Condition::Path(path) | Condition::Socket(path)) = condition else {
        return None;
    };
    for above in Path::new(path).ancestors().skip(1) {
        let found = tokio::fs::metadata(above).await;
        if found.is_ok_and(|found| found.is_dir()) {
            return Some(above.to_owned());
        }
    }
    None
}
