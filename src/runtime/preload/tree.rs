//! The indexes and manifests of an OCI layout, each read once however often it is referred to: pure.
//! Goes the way that containerd goes to a machine's manifest.

use std::collections::BTreeMap;

use super::error::Problem;
use super::json::{Config, Manifest, Target, parse};
use super::layout::{Document, GC, OCI_MANIFEST, blob_path, digest_at, digest_of};
use super::packing::Packing;
use super::platform::Platform;
use super::read::{Found, Survey};
use crate::runtime::image::{Layer, Layers};

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    OCI_MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Indexes in indexes are not nested deeper.
const DEPTH: u32 = 4;

/// What was chosen for a name.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What the name stands for.
    pub target: Target,
    /// This machine's manifest: the target, or what it leads to.
    pub manifest: Target,
    pub layers: Layers,
    /// The documents on the way, each behind what it refers to.
    pub documents: Vec<String>,
}

/// What is known of an image in containerd's store, from those of its documents that were read.
pub(in crate::runtime) enum Stored {
    /// These are its layers.
    Is(Layers),
    /// The document of this digest is needed first.
    Needs(String),
    /// It is no image as this agent knows them, or not this machine's.
    Unknown,
}

/// What is known of the image of this digest, from documents by their digests.
pub(in crate::runtime) fn stored(digest: &str, documents: &BTreeMap<String, Vec<u8>>) -> Stored {
    let mut survey = Survey::default();
    for (number, (digest, bytes)) in documents.iter().enumerate() {
        let path = blob_path(digest);
        let size = bytes.len() as u64;
        let packing = Packing::Plain;
        let found = Found {
            number,
            size,
            packing,
        };
        survey.files.insert(path.clone(), found);
        survey.documents.insert(path, bytes.clone());
    }
    let mut target = Target::default();
    digest.clone_into(&mut target.digest.0);
    let here = Platform::here();
    match Tree::new(&survey, &here).choose(&target, "") {
        Ok((_, chosen)) => Stored::Is(chosen.layers),
        Err(Problem::Missing { what }) => match digest_at(&what) {
            Some(digest) => Stored::Needs(digest),
            None => Stored::Unknown,
        },
        Err(_) => Stored::Unknown,
    }
}

/// An archive's documents by digest.
pub(super) struct Tree<'a> {
    survey: &'a Survey,
    machine: &'a Platform,
    nodes: BTreeMap<String, Node<'a>>,
}

struct Node<'a> {
    bytes: &'a [u8],
    media_type: String,
    config: Option<Target>,
    layers: Vec<Target>,
    /// Of an index.
    children: Option<Vec<Target>>,
    /// What those refer to that were chosen through it.
    labels: BTreeMap<String, String>,
    /// Where the way from here leads.
    way: Option<Way>,
    taken: bool,
}

/// The best manifest below a document.
#[derive(Clone)]
enum Way {
    To {
        rank: u8,
        child: Option<Target>,
    },
    /// None is for this machine, but for these.
    Others(Vec<String>),
}

impl<'a> Tree<'a> {
    pub fn new(survey: &'a Survey, machine: &'a Platform) -> Self {
        Self {
            survey,
            machine,
            nodes: BTreeMap::new(),
        }
    }

    /// The way from a named target to this machine's manifest, and how well that fits.
    pub fn choose(&mut self, target: &Target, name: &str) -> Result<(u8, Chosen), Problem> {
        let mut target = target.clone();
        let way = self.way(&target, DEPTH)?;
        let kind = self.node(&target.digest.0)?.media_type.clone();
        target.media_type.0 = kind;
        let (mut rank, mut path) = (0, vec![target.clone()]);
        let mut way = Some(way);
        while let Some(next) = way.take() {
            match next {
                Way::To {
                    rank: found,
                    child: None,
                } => rank = rank.max(found),
                Way::To {
                    rank: found,
                    child: Some(child),
                } => {
                    rank = rank.max(found);
                    way = self.nodes.get(&child.digest.0).and_then(|n| n.way.clone());
                    path.push(child);
                }
                Way::Others(has) => {
                    let has = match has.is_empty() {
                        true => "one that it does not name".to_owned(),
                        false => has.join(", "),
                    };
                    return Err(Problem::Platform {
                        name: name.to_owned(),
                        has,
                        wants: self.machine.to_string(),
                    });
                }
            }
        }
        let manifest = path.last().cloned().unwrap_or_default();
        let layers = self.layers(&manifest.digest.0)?;
        let mut documents = vec![layers.config.clone()];
        documents.extend(path.into_iter().rev().map(|target| target.digest.0));
        let chosen = Chosen {
            target,
            manifest,
            layers,
            documents,
        };
        Ok((rank, chosen))
    }

    /// Reads a document that is an index or a manifest, once.
    fn node(&mut self, digest: &str) -> Result<&mut Node<'a>, Problem> {
        if !self.nodes.contains_key(digest) {
            let path = blob_path(digest);
            let bytes = self.survey.json(&path)?;
            let found = digest_of(bytes);
            if found != digest {
                return Err(Problem::Digest {
                    path,
                    digest: found,
                });
            }
            let read: Manifest = parse(&path, bytes)?;
            let children: Option<Vec<_>> = read.manifests.map(|list| list.into_iter().collect());
            let is_index = children.is_some() && read.config.is_none();
            let known = if is_index { INDEXES } else { MANIFESTS };
            let media_type = match read.media_type.0.as_str() {
                "" => known[0],
                said if known.contains(&said) => said,
                said => {
                    let said = said.to_owned();
                    return Err(Problem::Kind { path, said });
                }
            };
            let node = Node {
                bytes,
                media_type: media_type.to_owned(),
                config: read.config,
                layers: read.layers.into_iter().flatten().collect(),
                children: children.filter(|_| is_index),
                labels: BTreeMap::new(),
                way: None,
                taken: false,
            };
            self.nodes.insert(digest.to_owned(), node);
        }
        let missing = || Problem::Missing {
            what: digest.to_owned(),
        };
        self.nodes.get_mut(digest).ok_or_else(missing)
    }

    /// Where a target leads, which is found out once.
    fn way(&mut self, target: &Target, depth: u32) -> Result<Way, Problem> {
        let digest = &target.digest.0;
        let node = self.node(digest)?;
        if let Some(way) = &node.way {
            return Ok(way.clone());
        }
        let way = match node.children.clone() {
            None => self.of_manifest(target)?,
            Some(_) if depth == 0 => Way::Others(Vec::new()),
            Some(children) => self.of_index(&children, depth)?,
        };
        let node = self.node(digest)?;
        if let Way::To {
            child: Some(child), ..
        } = &way
        {
            node.labels
                .insert(format!("{GC}.m.0"), child.digest.0.clone());
        }
        node.way = Some(way.clone());
        Ok(way)
    }

    fn of_manifest(&mut self, target: &Target) -> Result<Way, Problem> {
        let platform = match &target.platform {
            Some(platform) => platform.clone(),
            None => self.config(&target.digest.0)?.0.platform(),
        };
        Ok(match platform.rank(self.machine) {
            Some(rank) => Way::To { rank, child: None },
            None => Way::Others(vec![platform.to_string()]),
        })
    }

    /// The best of an index; of equals the first, as containerd.
    fn of_index(&mut self, children: &[Target], depth: u32) -> Result<Way, Problem> {
        let mut best: Option<(u8, &Target)> = None;
        let mut others = Vec::new();
        for child in children {
            let is_present = self.survey.file(&blob_path(&child.digest.0)).is_ok();
            let said = child.platform.as_ref().map(|p| p.rank(self.machine));
            let rank = match said {
                Some(None) => {
                    others.extend(child.platform.as_ref().map(ToString::to_string));
                    continue;
                }
                // Another platform's, saved in part.
                None if !is_present => continue,
                Some(Some(rank)) if !is_present => rank,
                _ => match self.way(child, depth - 1)? {
                    Way::To { rank, .. } => rank,
                    Way::Others(has) => {
                        others.extend(has);
                        continue;
                    }
                },
            };
            if best.is_none_or(|(best, _)| rank < best) {
                best = Some((rank, child));
            }
        }
        let Some((rank, child)) = best else {
            others.sort();
            others.dedup();
            return Ok(Way::Others(others));
        };
        let path = blob_path(&child.digest.0);
        let node = self.node(&child.digest.0)?;
        let said = child.media_type.0.as_str();
        let is_index = node.children.is_some();
        let known = if is_index { INDEXES } else { MANIFESTS };
        if !known.contains(&said) {
            let said = said.to_owned();
            return Err(Problem::Kind { path, said });
        }
        Ok(Way::To {
            rank,
            child: Some(child.clone()),
        })
    }

    /// A manifest's configuration, its digest and its path.
    fn config(&mut self, manifest: &str) -> Result<(Config, String, String), Problem> {
        let config = self.node(manifest)?.config.clone().unwrap_or_default();
        let digest = config.digest.0;
        let path = blob_path(&digest);
        let bytes = self.survey.json(&path)?;
        let found = digest_of(bytes);
        if found != digest {
            return Err(Problem::Digest {
                path,
                digest: found,
            });
        }
        Ok((parse(&path, bytes)?, digest, path))
    }

    fn layers(&mut self, manifest: &str) -> Result<Layers, Problem> {
        let (parsed, config, path) = self.config(manifest)?;
        let layers = self.node(manifest)?.layers.clone();
        let diff_ids = parsed.diff_ids(layers.len(), &path)?;
        let layers = layers.into_iter().zip(diff_ids);
        let layers = layers.map(|(target, diff_id)| Layer {
            media_type: target.media_type.0,
            digest: target.digest.0,
            size: target.size,
            diff_id,
        });
        let layers: Vec<_> = layers.collect();
        let node = self.node(manifest)?;
        let label = |(i, layer): (usize, &Layer)| (format!("{GC}.l.{i}"), layer.digest.clone());
        node.labels = layers.iter().enumerate().map(label).collect();
        node.labels.insert(format!("{GC}.config"), config.clone());
        Ok(Layers { config, layers })
    }

    /// A document that is needed, the first time that it is asked for.
    pub fn take(&mut self, digest: &str) -> Option<Document> {
        let (bytes, labels) = match self.nodes.get_mut(digest) {
            Some(node) if node.taken => return None,
            Some(node) => {
                node.taken = true;
                (node.bytes, std::mem::take(&mut node.labels))
            }
            None => (self.survey.json(&blob_path(digest)).ok()?, BTreeMap::new()),
        };
        Some(Document {
            digest: digest.to_owned(),
            bytes: bytes.to_vec(),
            labels,
        })
    }
}
