//! The manifest that docker's own archives lack, made from an entry of their list.

use std::collections::BTreeMap;

use serde_json::json;

use super::layout::{Brought, GC, Image, digest_of};
use super::packing::Packing;
use super::read::Found;
use crate::runtime::image::{Layer, Layers};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// containerd tells by the first bytes how a layer of docker's is packed.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const GZIP_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Before 2.0 it knows no name of docker's for zstd.
const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// One entry of docker's list.
#[derive(Debug)]
pub(super) struct SavedImage {
    pub config: Vec<u8>,
    pub layers: Vec<Found>,
    pub diff_ids: Vec<String>,
}

impl Brought {
    /// Makes a manifest of docker's kind, for an image without a name.
    pub(super) fn make(&mut self, saved: &SavedImage, digests: &BTreeMap<usize, String>) -> Image {
        let layers = saved.layers.iter().zip(&saved.diff_ids);
        let layers: Vec<Layer> = layers
            .map(|(layer, diff_id)| Layer {
                media_type: match layer.packing {
                    Packing::Zstd => ZSTD_LAYER,
                    Packing::Gzip => GZIP_LAYER,
                    _ => LAYER,
                }
                .to_owned(),
                digest: digests.get(&layer.number).cloned().unwrap_or_default(),
                size: layer.size,
                diff_id: diff_id.clone(),
            })
            .collect();
        let config = saved.config.clone();
        let config_digest = digest_of(&config);
        let mut labels = BTreeMap::from([(format!("{GC}.config"), config_digest.clone())]);
        let mut described = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let Layer {
                media_type,
                digest,
                size,
                ..
            } = layer;
            described.push(json!({"mediaType": media_type, "size": size, "digest": digest}));
            labels.insert(format!("{GC}.l.{index}"), digest.clone());
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": CONFIG, "size": config.len(), "digest": config_digest},
            "layers": described,
        });
        let bytes = manifest.to_string().into_bytes();
        let (digest, size) = (digest_of(&bytes), bytes.len() as u64);
        self.add(config_digest.clone(), config, BTreeMap::new());
        self.add(digest.clone(), bytes, labels);
        Image {
            media_type: DOCKER_MANIFEST.to_owned(),
            digest,
            size,
            layers: Layers {
                config: config_digest,
                layers,
            },
            digests: BTreeMap::new(),
        }
    }
}
