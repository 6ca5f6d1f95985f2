//! What images an archive holds, from its JSON documents and the digests of everything else: pure.
//!
//! Reads the OCI image layout (`index.json`, also what `docker save` writes since version 25) and,
//! where there is none, docker's own `manifest.json`, for which OCI manifests are made. Platforms an
//! archive leaves out are no fault of it; containerd looks for its own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::Problem;
use super::read::{Packing, digest_text};
use crate::runtime::image::in_full;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// containerd's own name for an image in an index, in full.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// The layout's name for it, often but a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Labels by which containerd's collector finds what a document refers to.
const GC: &str = "containerd.io/gc.ref.content";
/// Indexes in indexes are not nested deeper.
const DEPTH: u32 = 4;

/// A file that is no JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    pub digest: String,
    pub size: u64,
    pub packing: Packing,
}

/// Everything in an archive, by path.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub documents: BTreeMap<String, Vec<u8>>,
    pub blobs: BTreeMap<String, Blob>,
    pub links: BTreeMap<String, String>,
}

/// A descriptor, as OCI has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Target {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    annotations: Option<BTreeMap<String, String>>,
}

/// A document to be stored, with the labels that keep what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub digest: String,
    pub bytes: Vec<u8>,
    pub labels: BTreeMap<String, String>,
}

/// What an archive brings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    /// By full name.
    pub images: BTreeMap<String, Target>,
    /// In an order in which each comes after what it refers to.
    pub documents: Vec<Document>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    config: Option<Target>,
    layers: Vec<Target>,
    manifests: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

impl Contents {
    /// The images, or what is wrong with the archive.
    pub fn images(&self) -> Result<Brought, Problem> {
        let mut brought = Brought::default();
        if let Some(index) = self.documents.get("index.json") {
            let index: Manifest = parse("index.json", index)?;
            for target in index.manifests {
                self.add_oci(target, &mut brought)?;
            }
        } else if let Some(list) = self.documents.get("manifest.json") {
            let list: Vec<Saved> = parse("manifest.json", list)?;
            for saved in list {
                self.add_saved(saved, &mut brought)?;
            }
        } else {
            return Err(Problem::NoIndex);
        }
        if brought.images.is_empty() {
            return Err(Problem::NoName);
        }
        Ok(brought)
    }

    fn add_oci(&self, mut target: Target, brought: &mut Brought) -> Result<(), Problem> {
        let annotations = target.annotations.take().unwrap_or_default();
        let name = match (annotations.get(IMAGE_NAME), annotations.get(REF_NAME)) {
            (Some(name), _) => name,
            // A tag alone does not say of what.
            (None, Some(name)) if name.contains(['/', ':']) => name,
            _ => return Ok(()),
        };
        let name = in_full(name).map_err(Problem::BadName)?;
        if !self.add_target(&target, DEPTH, brought)? {
            return Err(Problem::Missing {
                what: target.digest,
            });
        }
        brought.images.insert(name, target);
        Ok(())
    }

    /// Adds a manifest or index with all below it; false when it is not in the archive.
    fn add_target(
        &self,
        target: &Target,
        depth: u32,
        brought: &mut Brought,
    ) -> Result<bool, Problem> {
        let path = blob_path(&target.digest);
        let Some(bytes) = self.documents.get(&path) else {
            return Ok(false);
        };
        let digest = digest_of(bytes);
        if digest != target.digest {
            return Err(Problem::Digest { path, digest });
        }
        let manifest: Manifest = parse(&path, bytes)?;
        let mut labels = BTreeMap::new();
        let mut any = manifest.manifests.is_empty();
        let mut incomplete = None;
        for (index, child) in manifest.manifests.iter().enumerate() {
            if depth == 0 {
                break;
            }
            match self.add_target(child, depth - 1, brought) {
                Ok(true) => {
                    labels.insert(format!("{GC}.m.{index}"), child.digest.clone());
                    any = true;
                }
                Ok(false) => {}
                // Another platform's, saved in part.
                Err(missing @ Problem::Missing { .. }) => incomplete = Some(missing),
                Err(problem) => return Err(problem),
            }
        }
        if let (false, Some(missing)) = (any, incomplete) {
            return Err(missing);
        }
        if let Some(config) = &manifest.config {
            self.add_leaf(&config.digest, brought)?;
            labels.insert(format!("{GC}.config"), config.digest.clone());
        }
        for (index, layer) in manifest.layers.iter().enumerate() {
            self.add_leaf(&layer.digest, brought)?;
            labels.insert(format!("{GC}.l.{index}"), layer.digest.clone());
        }
        brought.add(digest, bytes.clone(), labels);
        Ok(any)
    }

    /// A config or a layer; a layer is stored already.
    fn add_leaf(&self, digest: &str, brought: &mut Brought) -> Result<(), Problem> {
        let path = blob_path(digest);
        let found = match (self.documents.get(&path), self.blobs.get(&path)) {
            (Some(bytes), _) => {
                let found = digest_of(bytes);
                brought.add(found.clone(), bytes.clone(), BTreeMap::new());
                found
            }
            (None, Some(blob)) => blob.digest.clone(),
            (None, None) => {
                return Err(Problem::Missing {
                    what: digest.to_owned(),
                });
            }
        };
        if found == digest {
            Ok(())
        } else {
            Err(Problem::Digest {
                path,
                digest: found,
            })
        }
    }

    fn add_saved(&self, saved: Saved, brought: &mut Brought) -> Result<(), Problem> {
        let names = saved.repo_tags.unwrap_or_default();
        if names.is_empty() {
            return Ok(());
        }
        let missing = |what: &str| Problem::Missing {
            what: what.to_owned(),
        };
        let config = self.documents.get(self.resolved(&saved.config));
        let config = config.ok_or_else(|| missing(&saved.config))?;
        let config_digest = digest_of(config);
        brought.add(config_digest.clone(), config.clone(), BTreeMap::new());
        let mut labels = BTreeMap::from([(format!("{GC}.config"), config_digest.clone())]);
        let mut layers = Vec::new();
        for (index, path) in saved.layers.iter().enumerate() {
            let blob = self.blobs.get(self.resolved(path));
            let blob = blob.ok_or_else(|| missing(path))?;
            let kind = match blob.packing {
                Packing::Plain => LAYER.to_owned(),
                Packing::Gzip => format!("{LAYER}.gzip"),
                Packing::Zstd => format!("{LAYER}.zstd"),
            };
            layers.push(json!({"mediaType": kind, "size": blob.size, "digest": blob.digest}));
            labels.insert(format!("{GC}.l.{index}"), blob.digest.clone());
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": CONFIG, "size": config.len(), "digest": config_digest},
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        let target = Target {
            media_type: DOCKER_MANIFEST.to_owned(),
            digest: digest_of(&bytes),
            size: bytes.len() as u64,
            annotations: None,
        };
        brought.add(target.digest.clone(), bytes, labels);
        for name in names {
            let name = in_full(&name).map_err(Problem::BadName)?;
            brought.images.insert(name, target.clone());
        }
        Ok(())
    }

    /// What a path stands for: older versions of docker save a layer once and link to it.
    fn resolved<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path;
        for _ in 0..=self.links.len() {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }
}

impl Brought {
    fn add(&mut self, digest: String, bytes: Vec<u8>, labels: BTreeMap<String, String>) {
        if !self.documents.iter().any(|d| d.digest == digest) {
            self.documents.push(Document {
                digest,
                bytes,
                labels,
            });
        }
    }
}

impl Target {
    /// The media type; a manifest in an index may leave it out.
    pub fn kind(&self) -> &str {
        match self.media_type.as_str() {
            "" => OCI_MANIFEST,
            kind => kind,
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(path: &str, bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|source| Problem::Json {
        path: path.to_owned(),
        source,
    })
}

/// Where the layout keeps a digest.
fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The digest a path of the layout stands for.
pub(super) fn digest_at(path: &str) -> Option<String> {
    let hex = path.strip_prefix("blobs/sha256/")?;
    (hex.len() == 64).then(|| format!("sha256:{hex}"))
}

fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}
