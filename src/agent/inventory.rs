//! Lists everything the runtime has of this agent: at the start, after the runtime came back, and
//! every 30 s as the safety net under the event stream.
//!
//! It tells the coordinator which pods exist, and every worker what is listed: one that has seen
//! something else looks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::Uid;
use crate::model::{ObservedPod, Reason};
use crate::runtime::{Cri, Hint};

/// The safety net's period.
const RELIST: Duration = Duration::from_secs(30);
/// How often a runtime that does not answer is asked again.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// What the runtime has of the agent's pods, by uid; `None` until it was listed once.
pub type Inventory = Option<Arc<BTreeMap<Uid, ObservedPod>>>;

/// The newest list of the runtime.
#[derive(Default)]
pub struct Listing {
    /// The pods.
    pub pods: Inventory,
    /// When it was asked for: what ended before that is not in it.
    pub asked: Option<Instant>,
    /// Why the runtime could not be asked since.
    pub trouble: Option<Reason>,
}

/// Keeps the inventory current until cancelled.
pub async fn keep_inventory<C: Cri>(
    cri: C,
    endpoint: String,
    hints: broadcast::Sender<Hint>,
    inventory: watch::Sender<Listing>,
    cancel: CancellationToken,
) {
    let mut heard = hints.subscribe();
    loop {
        let asked = Instant::now();
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
                publish(&inventory, &hints, Arc::new(pods), asked);
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
    inventory: &watch::Sender<Listing>,
    hints: &broadcast::Sender<Hint>,
    pods: Arc<BTreeMap<Uid, ObservedPod>>,
    asked: Instant,
) {
    if inventory.borrow().trouble.is_some() {
        info!("the container runtime answers again");
    }
    // Without workers there is nobody to hear it, and nothing is lost.
    hints.send(Hint::Listed(Arc::clone(&pods))).ok();
    inventory.send_if_modified(|now| {
        let same = now.trouble.take().is_none() && now.pods.as_ref() == Some(&pods);
        now.asked = Some(asked);
        if !same {
            now.pods = Some(pods);
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

fn report_trouble(inventory: &watch::Sender<Listing>, reason: Reason) {
    inventory.send_if_modified(|now| {
        let same = now.trouble.as_ref() == Some(&reason);
        if !same {
            warn!("the container runtime cannot be listed; what runs is left as it is: {reason}");
            now.trouble = Some(reason);
        }
        !same
    });
}
