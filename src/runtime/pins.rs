//! Pins the images of wanted pods, so that no garbage collector takes one: [`keep_pinned`].
//!
//! CRI says of an image with containerd's label that it is pinned (containerd 1.7 and later), and
//! kubelet and `crictl rmi --prune` then leave it. A second label names the node that wants it, so
//! that agents on one containerd do not undo each other's, and pins of others stay as they are.
//! Runtimes without containerd's services have no call for it; nothing is pinned there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use containerd_client::services::v1::ListImagesRequest;
use containerd_client::services::v1::images_client::ImagesClient;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tracing::{debug, warn};

use super::Runtime;
use super::containerd::{answer, in_namespace, label_image};
use super::events::Hint;
use crate::api::ImageName;

/// What CRI reads, and with which value.
const PINNED: (&str, &str) = ("io.cri-containerd.pinned", "pinned");
/// With the node's name behind it: who wants the image.
const WANTED: &str = "setlet.dev/pinned.";
/// How often pins are looked at though nothing happened.
const RELIST: Duration = Duration::from_secs(60);
/// How long containerd may take for a pass.
const PASS: Duration = Duration::from_secs(120);

/// Pins what is wanted and takes back pins of what no longer is, until cancelled. Does nothing
/// while it is not known what is wanted.
pub async fn keep_pinned(
    runtime: &Runtime,
    mut wanted: watch::Receiver<Option<BTreeSet<String>>>,
    mut hints: broadcast::Receiver<Hint>,
    cancel: CancellationToken,
) {
    loop {
        let images = wanted.borrow_and_update().clone();
        if let Some(images) = images {
            let done = tokio::select! {
                () = cancel.cancelled() => return,
                done = tokio::time::timeout(PASS, pass_of(runtime, &images)) => done,
            };
            if let Ok(Err(error)) = done {
                debug!(%error, "images could not be pinned");
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            Ok(()) = wanted.changed() => {}
            () = news(&mut hints) => {}
            () = tokio::time::sleep(RELIST) => {}
        }
    }
}

/// Ends when an image may have come.
async fn news(hints: &mut broadcast::Receiver<Hint>) {
    loop {
        match hints.recv().await {
            Ok(Hint::Container(_) | Hint::Listed(_) | Hint::Network) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
        }
    }
}

async fn pass_of(runtime: &Runtime, wanted: &BTreeSet<String>) -> Result<(), Status> {
    pass(&runtime.inner.client.channel(), &runtime.inner.node, wanted).await
}

/// Takes back all pins of the agent of a node.
pub(super) async fn unpin(channel: &Channel, node: &str) -> Result<(), Status> {
    pass(channel, node, &BTreeSet::new()).await
}

/// Whether somebody pinned an image.
pub(super) fn is_pinned(labels: &HashMap<String, String>) -> bool {
    labels.contains_key(PINNED.0)
}

async fn pass(channel: &Channel, node: &str, wanted: &BTreeSet<String>) -> Result<(), Status> {
    let mut client = ImagesClient::new(channel.clone());
    let wanted: BTreeSet<_> = wanted.iter().map(|i| ImageName::in_full(i)).collect();
    let own = format!("{WANTED}{node}");
    let listed = answer(client.list(in_namespace(ListImagesRequest::default())));
    for image in listed.await?.into_inner().images {
        let labels = changes(&image.labels, &own, wanted.contains(&image.name));
        if labels.is_empty() {
            continue;
        }
        if let Err(error) = label_image(&mut client, &image.name, labels).await {
            warn!(
                image = image.name,
                error = error.message(),
                "cannot be pinned"
            );
        }
    }
    Ok(())
}

/// The labels to change; an empty value takes one away.
fn changes(labels: &HashMap<String, String>, own: &str, wanted: bool) -> HashMap<String, String> {
    let is_own = labels.contains_key(own);
    let is_pinned = labels.contains_key(PINNED.0);
    let others = labels
        .keys()
        .any(|key| key.starts_with(WANTED) && key != own);
    let set = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    match (wanted, is_own) {
        (true, true) if is_pinned => HashMap::new(),
        // Pinned by somebody else, whose it stays.
        (true, false) if is_pinned && !others => HashMap::new(),
        (true, _) => set(&[PINNED, (own, "true")]),
        (false, true) if others => set(&[(own, "")]),
        (false, true) => set(&[(PINNED.0, ""), (own, "")]),
        (false, false) => HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "setlet.dev/pinned.n";
    const OTHER: &str = "setlet.dev/pinned.m";

    #[test]
    fn pins_are_shared_and_those_of_others_stay() {
        let of = |keys: &[&str], wanted| {
            let labels = keys.iter().map(|key| ((*key).to_owned(), "x".to_owned()));
            let mut changes: Vec<_> = changes(&labels.collect(), OWN, wanted)
                .into_iter()
                .collect();
            changes.sort();
            let changes = changes
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"));
            changes.collect::<Vec<_>>()
        };
        let pinned = [
            "io.cri-containerd.pinned=pinned",
            "setlet.dev/pinned.n=true",
        ];
        let none: [&str; 0] = [];
        assert_eq!(of(&[], true), pinned);
        assert_eq!(of(&[PINNED.0, OTHER], true), pinned);
        assert_eq!(of(&[OWN], true), pinned);
        assert_eq!(of(&[PINNED.0], true), none);
        assert_eq!(of(&[PINNED.0, OWN], true), none);
        assert_eq!(
            of(&[PINNED.0, OWN], false),
            ["io.cri-containerd.pinned=", "setlet.dev/pinned.n="]
        );
        assert_eq!(of(&[PINNED.0, OWN, OTHER], false), ["setlet.dev/pinned.n="]);
        assert_eq!(of(&[PINNED.0], false), none);
    }
}
