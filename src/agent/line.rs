//! The line of time over the agent's lives: taken up from the state directory at the start, and kept
//! there when the time of day was set.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Channels;
use super::kept::Kept;
use super::state_disk::Disk;
use super::tasks::Tasks;
use crate::clock;
use crate::model::{PodRecord, SetRecord};
use crate::store::Store;

/// How often it is looked whether the time of day was set.
const LOOK: Duration = Duration::from_secs(60);

/// Goes on with the line that the state directory is on.
pub fn begin(store: &Store, kept: &Kept) {
    let known = store.line().unwrap_or_else(|found| {
        warn!("{found}");
        None
    });
    let newest = newest(&kept.pods, &kept.sets);
    let line = clock::begin(known.clone(), newest);
    if known.as_ref() != Some(&line) {
        keep(store, &line);
    }
}

/// Starts the task that keeps where the line is.
pub(super) fn start(tasks: &mut Tasks, channels: &Channels, store: &Arc<Store>) {
    let disk = Disk::new(store, &channels.blocking, "line of time");
    let follow = follow(disk, channels.cancel.clone());
    tasks.start("line of time", follow);
}

/// Keeps where the line is until cancelled.
async fn follow(disk: Disk, cancel: CancellationToken) {
    let mut kept = clock::line();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let line = clock::line();
        if line == kept {
            continue;
        }
        let wanted = line.clone();
        let keep = disk.away(move |store| keep(store, &wanted));
        let is_kept = tokio::select! {
            () = cancel.cancelled() => return,
            // Where the disk hangs the room has said so; it is tried again at the next look.
            is_kept = keep => is_kept.unwrap_or(false),
        };
        if is_kept {
            info!("the time of day was set; waits go on as they were");
            kept = line;
        }
    }
}

fn keep(store: &Store, line: &clock::Line) -> bool {
    let kept = store.put_line(line);
    if let Err(error) = &kept {
        warn!(%error, "where the line of time is could not be written down");
    }
    kept.is_ok()
}

/// The last time that is on disk.
fn newest(pods: &[PodRecord], sets: &[SetRecord]) -> Option<Timestamp> {
    let of_pods = pods
        .iter()
        .flat_map(|pod| [Some(pod.created_at), pod.ending_since]);
    let revisions = sets.iter().flat_map(|set| &set.revisions);
    let of_sets = revisions.flat_map(|revision| {
        let bad = revision.bad.as_ref().map(|bad| bad.at);
        [revision.trial_since, revision.good_since, bad]
    });
    of_pods.chain(of_sets).flatten().max()
}
