//! The images that the agent brought into the runtime: which names were not there before its pull or
//! import. A label on each says so, with the node's name in it, and `setlet purge` takes them away again.
//!
//! What somebody else brought, uses or pinned is left. Without containerd's own services nothing is
//! labelled, and so nothing is removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    DeleteImageRequest, GetImageRequest, Image, ListContainersRequest, ListImagesRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::debug;

use super::containerd::{answer, in_namespace, label_image};
use super::image::Lease;
use super::{Error, Runtime, pins};
use crate::api::ImageName;

/// With the node's name behind it: whose agent brought the image.
const BROUGHT: &str = "setlet.dev/brought.";
/// What CRI's names of images by their ids begin with.
const ID: &str = "sha256:";

/// The label of what the agent of a node brought.
pub(super) fn label(node: &str) -> String {
    format!("{BROUGHT}{node}")
}

/// The names of images that are there, each with whether this node's agent brought it.
pub(super) async fn names(channel: &Channel, node: &str) -> Result<BTreeMap<String, bool>, Status> {
    let own = label(node);
    let images = list(channel).await?.into_iter();
    Ok(images
        .map(|image| {
            let is_ours = image.labels.contains_key(&own);
            (image.name, is_ours)
        })
        .collect())
}

/// Labels what a pull brought: the image's name, that by its digest and that by its id, unless they were
/// there `before`. What cannot be labelled stays at a purge.
pub(super) async fn note_pull(
    channel: &Channel,
    node: &str,
    name: &ImageName,
    id: &str,
    before: &BTreeMap<String, bool>,
) {
    let noted = async {
        let full = name.to_string();
        let mut client = ImagesClient::new(channel.clone());
        let get = GetImageRequest { name: full.clone() };
        let image = answer(client.get(in_namespace(get))).await?.into_inner();
        let target = image.image.and_then(|image| image.target);
        let by_digest = name.with_digest(&target.unwrap_or_default().digest);
        for name in [full, by_digest, id.to_owned()] {
            if before.get(&name).copied().unwrap_or(true) {
                let labels = HashMap::from([(label(node), "true".to_owned())]);
                match label_image(&mut client, &name, labels).await {
                    Err(status) if status.code() == Code::NotFound => {}
                    labelled => labelled?,
                }
            }
        }
        Ok::<_, Status>(())
    };
    if let Err(error) = noted.await {
        debug!(image = %name, %error, "it could not be noted that the agent brought the image");
    }
}

/// What became of the images that the agent brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// The names that were removed, or are to be.
    pub removed: Vec<String>,
    /// The names that stay, each with why.
    pub kept: Vec<(String, String)>,
}

impl Runtime {
    /// What of the images would be removed by [`Self::remove_images`], as far as only the pods decide
    /// that. `nodes` are the names that the agent's node has and had.
    ///
    /// # Errors
    /// When the runtime cannot be asked.
    pub async fn brought_images(&self, nodes: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        if !self.handshake().await?.is_containerd() {
            return Ok(Vec::new());
        }
        let images = list(&self.inner.client.channel()).await;
        let images = images.map_err(Error::Images)?.into_iter();
        let ours =
            images.filter(|image| nodes.iter().any(|n| image.labels.contains_key(&label(n))));
        Ok(ours
            .map(|image| image.name)
            .filter(|name| !name.starts_with(ID))
            .collect())
    }

    /// Takes back the pins, removes the images that the agent brought and nobody else uses, and the leases
    /// that a killed agent left. To be called when the agent's pods are gone, and no agent runs.
    ///
    /// # Errors
    /// When the runtime cannot be asked, or refuses.
    pub async fn remove_images(&self, nodes: &BTreeSet<String>) -> Result<Images, Error> {
        if !self.handshake().await?.is_containerd() {
            return Ok(Images::default());
        }
        let channel = self.inner.client.channel();
        let removed = async {
            for node in nodes {
                pins::unpin(&channel, node).await?;
                Lease::remove_left(&channel, node).await?;
            }
            let used = used(&channel).await?;
            let plan = plan(&list(&channel).await?, &used, nodes);
            let mut client = ImagesClient::new(channel.clone());
            for name in &plan.removed {
                let request = DeleteImageRequest {
                    name: name.clone(),
                    sync: true,
                    ..Default::default()
                };
                match answer(client.delete(in_namespace(request))).await {
                    Err(status) if status.code() == Code::NotFound => {}
                    done => drop(done?),
                }
            }
            Ok::<_, Status>(plan)
        };
        removed.await.map_err(Error::Images)
    }
}

async fn list(channel: &Channel) -> Result<Vec<Image>, Status> {
    let mut client = ImagesClient::new(channel.clone());
    let listed = answer(client.list(in_namespace(ListImagesRequest::default()))).await?;
    Ok(listed.into_inner().images)
}

/// The names of images that containers were made of.
async fn used(channel: &Channel) -> Result<BTreeSet<String>, Status> {
    let mut client = ContainersClient::new(channel.clone());
    let listed = answer(client.list(in_namespace(ListContainersRequest::default()))).await?;
    let containers = listed.into_inner().containers.into_iter();
    Ok(containers.map(|container| container.image).collect())
}

/// Which names are removed. All names of one image are looked at together: a container tells only one.
fn plan(images: &[Image], used: &BTreeSet<String>, nodes: &BTreeSet<String>) -> Images {
    let own: BTreeSet<String> = nodes.iter().map(|node| label(node)).collect();
    let is_brought = |image: &&Image| own.iter().any(|label| image.labels.contains_key(label));
    let digest = |image: &Image| image.target.clone().unwrap_or_default().digest;
    let mut plan = Images::default();
    for image in images.iter().filter(is_brought) {
        let same = || images.iter().filter(|other| digest(other) == digest(image));
        let is_others = |image: &Image| {
            let others = |key: &String| key.starts_with(BROUGHT) && !own.contains(key);
            image.labels.keys().any(others) || pins::is_pinned(&image.labels)
        };
        let why = if same().any(|image| used.contains(&image.name)) {
            "a container uses it"
        } else if same().any(is_others) {
            "somebody else wants it"
        } else {
            plan.removed.push(image.name.clone());
            continue;
        };
        // Names by id and digest go with the others, and are not told of.
        if !image.name.starts_with(ID) && !image.name.contains('@') {
            plan.kept.push((image.name.clone(), why.to_owned()));
        }
    }
    // CRI's own name by the id, of an import, goes with the last other name.
    for image in images.iter().filter(|image| image.name.starts_with(ID)) {
        let same = || images.iter().filter(|other| digest(other) == digest(image));
        let is_gone =
            |other: &Image| other.name == image.name || plan.removed.contains(&other.name);
        if same().count() > 1 && same().all(is_gone) && !plan.removed.contains(&image.name) {
            plan.removed.push(image.name.clone());
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use containerd_client::types::Descriptor;

    use super::*;

    fn image(name: &str, digest: &str, labels: &[&str]) -> Image {
        let labels = labels
            .iter()
            .map(|key| ((*key).to_owned(), "true".to_owned()));
        Image {
            name: name.to_owned(),
            labels: labels.collect(),
            target: Some(Descriptor {
                digest: digest.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn what_others_brought_use_or_pinned_stays() {
        const OURS: &str = "setlet.dev/brought.n";
        let images = [
            image("r/gone:1", "sha256:a", &[OURS]),
            image("r/gone@sha256:a", "sha256:a", &[OURS]),
            image("sha256:1", "sha256:a", &[]),
            image("r/foreign:1", "sha256:b", &[]),
            image("sha256:2", "sha256:b", &[]),
            image("r/shared:1", "sha256:c", &[OURS]),
            image("r/shared:2", "sha256:c", &[]),
            image("sha256:3", "sha256:c", &[]),
            image("r/used:1", "sha256:d", &[OURS]),
            image("r/used:2", "sha256:d", &[]),
            image(
                "r/pinned:1",
                "sha256:e",
                &[OURS, "io.cri-containerd.pinned"],
            ),
            image("r/theirs:1", "sha256:f", &[OURS, "setlet.dev/brought.m"]),
            image("r/earlier:1", "sha256:0", &["setlet.dev/brought.old"]),
        ];
        let used = BTreeSet::from(["r/used:2".to_owned()]);
        let nodes = ["n", "old"].map(str::to_owned).into();
        let plan = plan(&images, &used, &nodes);
        let removed = [
            "r/gone:1",
            "r/gone@sha256:a",
            "r/shared:1",
            "r/earlier:1",
            "sha256:1",
        ];
        assert_eq!(plan.removed, removed);
        let kept: Vec<_> = plan
            .kept
            .iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect();
        let expected = [
            "r/used:1: a container uses it",
            "r/pinned:1: somebody else wants it",
            "r/theirs:1: somebody else wants it",
        ];
        assert_eq!(kept, expected);
    }
}
