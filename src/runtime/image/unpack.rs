//! Unpacks images as containerd's own client does when it pulls: layer by layer into the snapshotter
//! that CRI takes its containers' root file systems from. What was imported without that is unpacked
//! when the first container is made of it, when the old pod is stopped already.

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::services::v1::{ApplyRequest, Info, UpdateRequest};
use containerd_client::types::Descriptor;
use sha2::{Digest, Sha256};
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use super::lease::Lease;
use crate::runtime::containerd::{answer, answer_within, in_namespace};

/// How long one layer may take: a large one on a slow disk takes minutes.
const LAYER: std::time::Duration = std::time::Duration::from_secs(30 * 60);
/// Labels by which containerd's collector finds an image's snapshot, and knows what a layer unpacks to.
const SNAPSHOT: &str = "containerd.io/gc.ref.snapshot.";
const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// A layer, packed and unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Layer {
    /// How it is packed.
    pub media_type: String,
    /// Of what is in the content store.
    pub digest: String,
    /// Of that, in bytes.
    pub size: u64,
    /// The digest of what it unpacks to.
    pub diff_id: String,
}

/// What of an image is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Layers {
    /// The configuration's digest.
    pub config: String,
    /// From the lowest on.
    pub layers: Vec<Layer>,
}

/// Why an image is not unpacked.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtime) enum UnpackError {
    /// A layer is something else than the configuration says.
    #[error("layer {layer} unpacks to {found}, where the configuration says {wanted}")]
    Other {
        /// Its digest.
        layer: String,
        /// What its content is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// containerd says why.
    #[error("{what}: {}", source.message())]
    Containerd {
        /// What could not be done.
        what: String,
        /// containerd's words.
        source: Box<Status>,
    },
}

impl UnpackError {
    /// Whether another try may help though the image is the same.
    pub fn is_containerds(&self) -> bool {
        matches!(self, Self::Containerd { .. })
    }
}

fn failed(what: &str) -> impl Fn(Status) -> UnpackError + use<> {
    let what = what.to_owned();
    move |source| UnpackError::Containerd {
        what: what.clone(),
        source: Box::new(source),
    }
}

impl Layers {
    /// Names of the snapshots of each layer with those below it.
    fn chain(&self) -> Vec<String> {
        let mut chain: Vec<String> = Vec::new();
        for layer in &self.layers {
            let id = match chain.last() {
                None => layer.diff_id.clone(),
                Some(below) => {
                    let both = format!("{below} {}", layer.diff_id);
                    let digest = Sha256::digest(both);
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("sha256:{hex}")
                }
            };
            chain.push(id);
        }
        chain
    }

    /// Whether everything is unpacked.
    pub async fn are_unpacked(&self, channel: Channel, snapshotter: &str) -> Result<bool, Status> {
        let Some(top) = self.chain().pop() else {
            return Ok(true);
        };
        is_there(&mut SnapshotsClient::new(channel), snapshotter, &top).await
    }

    /// Unpacks what is not unpacked yet.
    pub async fn unpack(
        &self,
        channel: Channel,
        snapshotter: &str,
        lease: &Lease,
    ) -> Result<(), UnpackError> {
        let mut snapshots = SnapshotsClient::new(channel.clone());
        let chain = self.chain();
        let mut from = 0;
        for (index, name) in chain.iter().enumerate().rev() {
            let there = is_there(&mut snapshots, snapshotter, name).await;
            if there.map_err(failed("looking for snapshots"))? {
                from = index + 1;
                break;
            }
        }
        for (index, layer) in self.layers.iter().enumerate().skip(from) {
            let below = index.checked_sub(1).map_or("", |below| &chain[below]);
            let place = Place {
                snapshotter,
                below,
                name: &chain[index],
            };
            one(&channel, &place, layer, lease).await?;
        }
        if let Some(top) = chain.last() {
            let key = format!("{SNAPSHOT}{snapshotter}");
            label(&channel, &self.config, &key, top).await?;
        }
        Ok(())
    }
}

async fn is_there(
    snapshots: &mut SnapshotsClient<Channel>,
    snapshotter: &str,
    name: &str,
) -> Result<bool, Status> {
    let request = in_namespace(StatSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: name.to_owned(),
    });
    match answer(snapshots.stat(request)).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}

/// Where a layer goes.
struct Place<'a> {
    snapshotter: &'a str,
    below: &'a str,
    name: &'a str,
}

/// Unpacks one layer.
async fn one(
    channel: &Channel,
    place: &Place<'_>,
    layer: &Layer,
    lease: &Lease,
) -> Result<(), UnpackError> {
    let mut snapshots = SnapshotsClient::new(channel.clone());
    let snapshotter = place.snapshotter.to_owned();
    let key = format!("extract-{} {}", Uuid::new_v4(), place.name);
    let request = lease.request(PrepareSnapshotRequest {
        snapshotter: snapshotter.clone(),
        key: key.clone(),
        parent: place.below.to_owned(),
        labels: Default::default(),
    });
    let preparing = failed("making a snapshot");
    let prepared = answer(snapshots.prepare(request.map_err(&preparing)?)).await;
    let mounts = prepared.map_err(&preparing)?.into_inner().mounts;
    let applied = apply(channel, layer, mounts, lease).await;
    let committed = match applied {
        Ok(()) => {
            let request = lease.request(CommitSnapshotRequest {
                snapshotter: snapshotter.clone(),
                name: place.name.to_owned(),
                key: key.clone(),
                labels: Default::default(),
            });
            let committing = failed("keeping a snapshot");
            match answer(snapshots.commit(request.map_err(&committing)?)).await {
                Ok(_) => {
                    return label(channel, &layer.digest, UNCOMPRESSED, &layer.diff_id).await;
                }
                // Somebody else was quicker.
                Err(status) if status.code() == Code::AlreadyExists => Ok(()),
                Err(status) => Err(committing(status)),
            }
        }
        Err(error) => Err(error),
    };
    let request = in_namespace(RemoveSnapshotRequest { snapshotter, key });
    // Without the lease it is collected, too.
    answer(snapshots.remove(request)).await.ok();
    committed
}

async fn apply(
    channel: &Channel,
    layer: &Layer,
    mounts: Vec<containerd_client::types::Mount>,
    lease: &Lease,
) -> Result<(), UnpackError> {
    let unpacking = failed(&format!("layer {}", layer.digest));
    let request = lease.request(ApplyRequest {
        diff: Some(Descriptor {
            media_type: layer.media_type.clone(),
            digest: layer.digest.clone(),
            size: i64::try_from(layer.size).unwrap_or(i64::MAX),
            ..Default::default()
        }),
        mounts,
        ..Default::default()
    });
    let mut client = DiffClient::new(channel.clone());
    let applied = client.apply(request.map_err(&unpacking)?);
    let applied = answer_within(LAYER, applied).await.map_err(&unpacking)?;
    let found = applied.into_inner().applied.unwrap_or_default().digest;
    match found == layer.diff_id {
        true => Ok(()),
        false => Err(UnpackError::Other {
            layer: layer.digest.clone(),
            found,
            wanted: layer.diff_id.clone(),
        }),
    }
}

async fn label(channel: &Channel, digest: &str, key: &str, value: &str) -> Result<(), UnpackError> {
    let request = in_namespace(UpdateRequest {
        info: Some(Info {
            digest: digest.to_owned(),
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec![format!("labels.{key}")],
        }),
    });
    let updated = answer(ContentClient::new(channel.clone()).update(request)).await;
    updated.map(drop).map_err(failed("labelling content"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_named_as_containerd_names_them() {
        let layer = |diff_id: &str| Layer {
            media_type: String::new(),
            digest: String::new(),
            size: 0,
            diff_id: diff_id.to_owned(),
        };
        let layers = Layers {
            config: String::new(),
            layers: vec![layer("sha256:a"), layer("sha256:b")],
        };
        let chain = layers.chain();
        assert_eq!(chain[0], "sha256:a");
        // printf 'sha256:a sha256:b' | sha256sum
        assert_eq!(
            chain[1],
            "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8"
        );
    }
}
