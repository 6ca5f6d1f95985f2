//! What of an image in containerd's store has to be unpacked: goes from its name to this machine's
//! manifest, as containerd does, and to the configuration.

use std::collections::BTreeMap;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{GetImageRequest, ReadContentRequest};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::unpack::Layers;
use crate::runtime::containerd::{answer, in_namespace};
use crate::runtime::preload::{Stored, stored};

/// A document larger than this is none of an image's.
const DOCUMENT: usize = 8 << 20;
/// An index, a manifest and a configuration, and some indexes between.
const DOCUMENTS: usize = 8;

/// The layers of the image of this full name. None where that cannot be told, as with images that
/// something else than containerd's CRI brought, or that are not there: CRI has the last word.
pub(super) async fn layers(channel: &Channel, name: &str) -> Result<Option<Layers>, Status> {
    let request = in_namespace(GetImageRequest {
        name: name.to_owned(),
    });
    let mut images = ImagesClient::new(channel.clone());
    let image = match answer(images.get(request)).await {
        Ok(image) => image.into_inner().image.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let target = image.target.unwrap_or_default().digest;
    let mut documents = BTreeMap::new();
    // Each round finds out one more that is needed.
    for _ in 0..DOCUMENTS {
        match stored(&target, &documents) {
            Stored::Is(layers) => return Ok(Some(layers)),
            Stored::Unknown => return Ok(None),
            Stored::Needs(digest) => match read(channel, &digest).await? {
                Some(bytes) => documents.insert(digest, bytes),
                None => return Ok(None),
            },
        };
    }
    Ok(None)
}

async fn read(channel: &Channel, digest: &str) -> Result<Option<Vec<u8>>, Status> {
    let request = in_namespace(ReadContentRequest {
        digest: digest.to_owned(),
        ..Default::default()
    });
    let mut content = ContentClient::new(channel.clone());
    let mut stream = match answer(content.read(request)).await {
        Ok(stream) => stream.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let mut bytes = Vec::new();
    loop {
        match answer(stream.message()).await {
            Ok(Some(piece)) if bytes.len() + piece.data.len() <= DOCUMENT => {
                bytes.extend(piece.data);
            }
            Ok(Some(_)) => return Ok(None),
            Ok(None) => return Ok(Some(bytes)),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status),
        }
    }
}
