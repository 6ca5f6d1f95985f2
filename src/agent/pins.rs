//! Which images are wanted: those of every pod that is not to end, and of the revision each set
//! would go back to, once it is known which those are.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::revisions;
use crate::model::{Goal, NodeView};

/// Publishes the wanted images as the view changes, until cancelled.
pub async fn keep_wanted(
    mut view: watch::Receiver<Arc<NodeView>>,
    wanted: watch::Sender<Option<BTreeSet<String>>>,
    cancel: CancellationToken,
) {
    loop {
        let now = Arc::clone(&view.borrow_and_update());
        // Before the first pass a pod may be missing, and its images would be let go.
        if now.ready {
            let images = Some(images(&now));
            wanted.send_if_modified(|old| {
                let changed = *old != images;
                *old = images;
                changed
            });
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = view.changed() => if changed.is_err() { return },
        }
    }
}

fn images(view: &NodeView) -> BTreeSet<String> {
    let pods = view.pods.values().filter(|pod| pod.want.goal != Goal::End);
    pods.flat_map(|pod| {
        let spec = pod.want.spec();
        let containers = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let volumes = spec.volumes.iter().flatten();
        let mounted = volumes.filter_map(|volume| volume.image.as_ref()?.reference.clone());
        containers.filter_map(|c| c.image.clone()).chain(mounted)
    })
    .chain(last_good(view))
    .collect()
}

/// The images of every set's last good revision.
fn last_good(view: &NodeView) -> impl Iterator<Item = String> + '_ {
    let rollouts = view.sets.values().filter_map(|set| set.rollout.as_ref());
    let good = rollouts.filter_map(|rollout| rollout.record.last_good());
    good.flat_map(|revision| revisions::images_of(&revision.object).map(str::to_owned))
}
