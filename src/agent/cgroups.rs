//! Keeps the cgroups above those of pods as they should be: all pods together bounded by what the
//! node can give them, the burstable class with the sum of its pods' requests.
//!
//! As kubelet, which looks once a minute and whenever its pods change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::model::{Goal, NodeView, PodReport, Reason};
use crate::runtime::Runtime;
use crate::runtime::translate::cgroup::{Above, above};

/// How often the bounds are written again though nothing changed, and what failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// How long changes of the view are gathered.
const CALM: Duration = Duration::from_millis(100);

/// Bounds them as the view changes, until cancelled.
pub async fn keep_bounded(
    runtime: &Runtime,
    mut view: watch::Receiver<Arc<NodeView>>,
    cancel: CancellationToken,
) {
    let mut done = None;
    let mut told = None;
    loop {
        let newest = Arc::clone(&view.borrow_and_update());
        // Before the first pass pods that run may be missing, and would lose their share.
        if newest.ready {
            let host = runtime.host();
            let wanted = Wanted {
                above: above(active(&newest).map(|pod| pod.want.spec()), &host),
                sandboxes: sandboxes(&newest),
            };
            if done.as_ref() != Some(&wanted) {
                let failed = runtime.bound_above(wanted.above.to_vec()).await.err();
                tell(failed, &mut told);
                done = Some(wanted);
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => done = None,
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(CALM).await;
            }
        }
    }
}

/// What the bounds follow from.
#[derive(PartialEq)]
struct Wanted {
    above: [Above; 3],
    /// Under the systemd driver the first sandbox of a class makes the class's cgroup.
    sandboxes: BTreeSet<String>,
}

/// The pods that have a part in their class: all but those that are staged only.
fn active(view: &NodeView) -> impl Iterator<Item = &PodReport> {
    let is_active = |pod: &&PodReport| pod.want.goal != Goal::Stage || pod.have.is_some();
    view.pods.values().filter(is_active)
}

fn sandboxes(view: &NodeView) -> BTreeSet<String> {
    let have = view.pods.values().filter_map(|pod| pod.have.as_ref());
    let sandboxes = have.flat_map(|have| &have.sandboxes);
    sandboxes.map(|sandbox| sandbox.id.0.clone()).collect()
}

/// Warns of what failed, of the same once.
fn tell(failed: Option<Reason>, told: &mut Option<Reason>) {
    if let Some(reason) = failed.as_ref().filter(|_| failed != *told) {
        warn!("{reason}; it is tried again each minute");
    }
    *told = failed;
}
