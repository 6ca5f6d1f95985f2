//! Reading the configuration again when a file changes or the agent is told to (SIGHUP).
//!
//! A configuration that cannot be read changes nothing: the one in force stays, and the error is
//! published beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Config, Error};

/// How long the files must be quiet before they are read: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// The configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The last one that could be read.
    pub config: Arc<Config>,
    /// Why what is in the files now is not in force, where it is not.
    pub error: Option<String>,
}

/// Keeps `loaded` at what the files say until cancelled. `path` is what [`Config::load_trusted`] was given;
/// each message of `reload` reads the files again too, and is answered when that is done.
///
/// # Errors
///
/// The files cannot be watched. A configuration that cannot be read is no error here.
pub async fn watch(
    path: Option<PathBuf>,
    mut reload: mpsc::Receiver<oneshot::Sender<()>>,
    loaded: watch::Sender<Loaded>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let (poke, mut poked) = mpsc::channel(1);
    let mut watcher = Watched::new(path.as_deref(), poke)?;
    loop {
        let mut asked = None;
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            Some(done) = reload.recv() => asked = Some(done),
            Some(()) = poked.recv() => {
                tokio::time::sleep(SETTLE).await;
                // What came in while it settled is covered by the read that follows.
                while poked.try_recv().is_ok() {}
            }
        }
        watcher.refresh();
        publish(path.as_deref(), &loaded);
        if let Some(done) = asked {
            // Nobody need wait for it.
            done.send(()).ok();
        }
    }
}

fn publish(path: Option<&Path>, loaded: &watch::Sender<Loaded>) {
    let result = Config::load_trusted(path);
    loaded.send_if_modified(|now| match result {
        Ok(config) if *now.config == config && now.error.is_none() => false,
        Ok(config) => {
            *now = Loaded {
                config: Arc::new(config),
                error: None,
            };
            true
        }
        Err(error) => {
            let error = Some(error.to_string());
            let changed = now.error != error;
            now.error = error;
            changed
        }
    });
}

/// The watched directories: that of the file (which may be replaced by rename) and the drop-ins'.
struct Watched {
    watcher: notify::RecommendedWatcher,
    directories: [PathBuf; 2],
}

impl Watched {
    fn new(path: Option<&Path>, poke: mpsc::Sender<()>) -> Result<Self, Error> {
        let [file, drop_ins] = Config::watched(path);
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        let (watched, below) = (file.clone(), drop_ins.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            let concerns = event.map_or(true, |event| {
                !event.kind.is_access_read()
                    && (event.need_rescan()
                        || event
                            .paths
                            .iter()
                            .any(|path| *path == watched || path.starts_with(&below)))
            });
            if concerns {
                // A full channel already holds the word that something changed.
                poke.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|source| Error::Watch {
            path: file.clone(),
            source,
        })?;
        let mut watched = Self {
            watcher,
            directories: [directory, drop_ins],
        };
        watched.refresh();
        Ok(watched)
    }

    /// Watches the directories anew, so that one that was made or replaced since is seen. One that
    /// is not there is left to its parent's events and to SIGHUP.
    fn refresh(&mut self) {
        for directory in &self.directories {
            drop(self.watcher.unwatch(directory));
            drop(self.watcher.watch(directory, RecursiveMode::NonRecursive));
        }
    }
}

/// Reading is not changing: without this, reading the configuration would cause the next reading.
trait IsAccess {
    fn is_access_read(&self) -> bool;
}

impl IsAccess for notify::EventKind {
    fn is_access_read(&self) -> bool {
        use notify::event::{AccessKind, AccessMode};
        matches!(self, Self::Access(kind)
            if *kind != AccessKind::Close(AccessMode::Write))
    }
}
