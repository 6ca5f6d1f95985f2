//! Looks how much of the disk emptyDirs with a `sizeLimit` use, and has pods evicted that exceed it.
//!
//! Only volumes with a limit are walked, on another thread, once a minute as kubelet's volume
//! statistics are; and no more than a fiftieth of the time, however many files there are. One that
//! does not answer holds up no other. What a pod writes in between is not held back. Decides nothing:
//! [`over_limit`] does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::tasks::Tasks;
use super::{Channels, settings};
use crate::api::Uid;
use crate::blocking::{Blocking, Progress};
use crate::config::Config;
use crate::model::{Goal, NodeView, Reason};
use crate::plan::eviction::over_limit;
use crate::volume::{Limited, Usage, limited};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// A look may take one part in so many of the time.
const SHARE: u32 = 50;
/// Evictions that may wait for the coordinator.
const WAITING: usize = 16;

/// A pod that is to be ended, and why.
#[derive(Debug)]
pub struct Eviction {
    /// The pod.
    pub uid: Uid,
    /// Why.
    pub reason: Reason,
}

/// Starts the task; returns what hears of the evictions it asks for.
pub(super) fn start(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
) -> mpsc::Receiver<Eviction> {
    let (evictions, heard) = mpsc::channel(WAITING);
    let (view, cancel) = (channels.reporter.subscribe(), channels.cancel.clone());
    let pods_root = settings::places(config).pods_root;
    let blocking = channels.blocking.clone();
    let watch = watch_limits(view, pods_root, blocking, evictions, cancel);
    tasks.start("disk limits", watch);
    heard
}

/// Looks until it is cancelled.
async fn watch_limits(
    mut view: watch::Receiver<Arc<NodeView>>,
    pods_root: PathBuf,
    blocking: Blocking,
    evictions: mpsc::Sender<Eviction>,
    cancel: CancellationToken,
) {
    let mut pause = LOOK;
    loop {
        let look = async {
            let wanted = |view: &Arc<NodeView>| !all_limited(view, &pods_root).is_empty();
            if view.wait_for(wanted).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = look => {}
        }
        let begun = Instant::now();
        let volumes = all_limited(&view.borrow(), &pods_root);
        for (uid, volume) in volumes {
            let look = exceeds(&blocking, uid, volume);
            let over = tokio::select! {
                () = cancel.cancelled() => return,
                over = look => over,
            };
            if let Some(eviction) = over {
                // Without a coordinator the agent is ending, and the token says so.
                evictions.send(eviction).await.ok();
            }
        }
        pause = LOOK.max(begun.elapsed().saturating_mul(SHARE));
    }
}

/// The limited volumes of pods that run.
fn all_limited(view: &NodeView, pods_root: &std::path::Path) -> Vec<(Uid, Limited)> {
    let running = view.pods.values().filter(|pod| pod.want.goal == Goal::Run);
    let volumes = running.flat_map(|pod| {
        let uid = &pod.want.key().uid;
        let volumes = limited(&pod.want, pods_root).into_iter();
        volumes.map(|volume| (uid.clone(), volume))
    });
    volumes.collect()
}

/// Measures a volume; the pod's eviction where it uses more than it may.
async fn exceeds(blocking: &Blocking, uid: Uid, volume: Limited) -> Option<Eviction> {
    let Limited {
        volume: name,
        path,
        limit,
    } = volume.clone();
    let path = path.display();
    let lane = format!("what {path} uses");
    let look = move |progress: &Progress| volume.used(progress);
    let Usage { bytes, unread } = match blocking.run(lane, look).await {
        Ok(Ok(usage)) => usage?,
        Ok(Err(error)) => {
            warn!(%path, %error, "what a volume uses cannot be measured");
            return None;
        }
        // The room has said so.
        Err(_) => return None,
    };
    if let Some(error) = unread {
        warn!(%path, %error, "a volume uses more than can be measured");
    }
    let reason = over_limit(&name, &limit, bytes)?;
    Some(Eviction { uid, reason })
}
