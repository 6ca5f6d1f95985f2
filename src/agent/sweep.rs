//! Takes away what is left on the state disk of pods that are gone: directories `pods/UID` that belong to
//! no record and to no pod of the runtime, as of a removal that was cut off. Looked for at the start and
//! when a pod is gone.
//!
//! The directories are listed first, then the coordinator is asked whose they are: it knows of a pod
//! before anything of it is made.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Channels;
use super::state_disk::Disk;
use super::tasks::Tasks;
use crate::api::Uid;
use crate::model::NodeView;
use crate::volume;

/// How long after a pod is gone it is looked for; also the pause until what failed is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks the coordinator which pods there are.
pub struct Whose {
    /// The uids that directories were found of.
    pub found: BTreeSet<Uid>,
    /// Those of them that no pod has; nothing while the runtime was not listed.
    pub reply: oneshot::Sender<Option<BTreeSet<Uid>>>,
}

/// Starts the task; returns what hears of its questions.
pub(super) fn start(
    tasks: &mut Tasks,
    channels: &Channels,
    pods_root: PathBuf,
    disk: Disk,
) -> mpsc::Receiver<Whose> {
    let (ask, asked) = mpsc::channel(1);
    let (view, cancel) = (channels.reporter.subscribe(), channels.cancel.clone());
    let sweeper = Sweeper {
        disk,
        pods_root,
        ask,
    };
    tasks.start("left directories", sweeper.follow(view, cancel));
    asked
}

struct Sweeper {
    disk: Disk,
    pods_root: PathBuf,
    ask: mpsc::Sender<Whose>,
}

impl Sweeper {
    /// Sweeps at the start, and whenever a pod is gone, until cancelled.
    async fn follow(self, mut view: watch::Receiver<Arc<NodeView>>, cancel: CancellationToken) {
        let work = async {
            loop {
                let pods = uids(&view.borrow_and_update());
                if !self.sweep().await {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                let is_gone = |view: &Arc<NodeView>| !pods.is_subset(&uids(view));
                if view.wait_for(is_gone).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = work => {}
        }
    }

    /// Looks once; false where that is to be done again.
    async fn sweep(&self) -> bool {
        let root = self.pods_root.clone();
        let found = match self.disk.away(move |_| volume::made(&root)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                warn!("{error}");
                return false;
            }
            // The room has said so.
            Err(_) => return false,
        };
        if found.is_empty() {
            return true;
        }
        let (reply, answer) = oneshot::channel();
        if self.ask.send(Whose { found, reply }).await.is_err() {
            return true;
        }
        let Ok(Some(left)) = answer.await else {
            return false;
        };
        let mut all = true;
        for uid in left {
            all &= self.remove(uid).await;
        }
        all
    }

    /// Removes one, unless the store has anything of it: a record that cannot be read today may be
    /// tomorrow.
    async fn remove(&self, uid: Uid) -> bool {
        let of_store = uid.clone();
        match self.disk.away(move |store| store.knows(&of_store)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => return true,
            Ok(Err(_)) | Err(_) => return false,
        }
        let directory = self.pods_root.join(uid.as_str());
        let lane = format!("what is left of pod {uid}");
        let of_lane = directory.clone();
        let removed = self.disk.blocking().run(lane, move |progress| {
            volume::remove_left(&of_lane, progress)
        });
        match removed.await {
            Ok(Ok(())) => {
                info!(directory = %directory.display(), "removed what was left of a pod");
                true
            }
            Ok(Err(error)) => {
                warn!("{error}");
                // A mount that is in use may be for good; it is tried again when a pod is gone.
                true
            }
            Err(_) => false,
        }
    }
}

fn uids(view: &NodeView) -> BTreeSet<Uid> {
    view.pods.keys().cloned().collect()
}
