//! Lists everything the runtime has of this agent: at the start, after the runtime came back, and
//! every 30 s as the safety net under the event stream.
//!
//! It tells the coordinator which pods exist, and workers of pods that changed without an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::coordinator::Inventory;
use crate::api::Uid;
use crate::model::{ObservedPod, Reason};
use crate::runtime::{Cri, Hint};

/// The safety net's period.
const RELIST: Duration = Duration::from_secs(30);
/// How often a runtime that does not answer is asked again.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// Keeps the inventory current until cancelled.
pub async fn keep_inventory<C: Cri>(
    cri: C,
    endpoint: String,
    hints: broadcast::Sender<Hint>,
    inventory: watch::Sender<(Inventory, Option<Reason>)>,
    cancel: CancellationToken,
) {
    let mut heard = hints.subscribe();
    loop {
        let listed = tokio::select! {
            () = cancel.cancelled() => return,
            listed = cri.list() => listed,
        };
        let pause = match listed {
            Ok(pods) => {
                let pods = pods
                    .into_iter()
                    .map(|pod| (pod.key.uid.clone(), pod))
                    .collect();
                publish(&inventory, &hints, pods);
                RELIST
            }
            Err(error) => {
                report_trouble(&inventory, at(&endpoint, error.reason()));
                UNREACHABLE
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = runtime_is_back(&mut heard) => {}
        }
    }
}

/// Ends when everything is to be looked at again.
async fn runtime_is_back(heard: &mut broadcast::Receiver<Hint>) {
    loop {
        match heard.recv().await {
            Ok(Hint::All) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn publish(
    inventory: &watch::Sender<(Inventory, Option<Reason>)>,
    hints: &broadcast::Sender<Hint>,
    pods: BTreeMap<Uid, ObservedPod>,
) {
    let (before, trouble) = inventory.borrow().clone();
    if trouble.is_some() {
        info!("the container runtime answers again");
    }
    let before = before.unwrap_or_default();
    for id in changed(&before, &pods) {
        // Without workers there is nobody to hear it, and nothing is lost.
        hints.send(Hint::Container(id)).ok();
    }
    inventory.send_if_modified(|now| {
        let same = now.1.is_none() && now.0.as_deref() == Some(&pods);
        if !same {
            *now = (Some(Arc::new(pods)), None);
        }
        !same
    });
}

/// The reason with the socket it is about.
fn at(endpoint: &str, reason: Reason) -> Reason {
    Reason {
        message: format!("{endpoint}: {}", reason.message),
        ..reason
    }
}

fn report_trouble(inventory: &watch::Sender<(Inventory, Option<Reason>)>, reason: Reason) {
    inventory.send_if_modified(|now| {
        let same = now.1.as_ref() == Some(&reason);
        if !same {
            warn!("the container runtime cannot be listed; what runs is left as it is: {reason}");
            now.1 = Some(reason);
        }
        !same
    });
}

/// An id of every pod that is not as it was: any id wakes the pod's worker.
fn changed(before: &BTreeMap<Uid, ObservedPod>, now: &BTreeMap<Uid, ObservedPod>) -> Vec<String> {
    let mut ids = Vec::new();
    for (uid, pod) in before {
        if now.get(uid) != Some(pod) {
            ids.extend(pod.sandboxes.iter().map(|sandbox| sandbox.id.0.clone()));
            ids.extend(
                pod.containers
                    .iter()
                    .map(|container| container.id.0.clone()),
            );
        }
    }
    ids
}
