//! What images an archive holds, from its JSON documents: pure. [`choose`] says which of its files they
//! need, and [`Choice::finish`], given the digests of those, what containerd is to be given.
//!
//! Reads the OCI image layout (`index.json`, also what `docker save` writes since version 25) and,
//! where there is none, docker's own `manifest.json`, for which manifests are made. Of several
//! platforms under one name this machine's is taken; what else an archive holds is left where it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::Problem;
use super::json::{Config, Manifest, Saved, Target, parse};
use super::platform::Platform;
use super::read::{Survey, digest_text};
use super::saved::SavedImage;
use super::tree::Tree;
use crate::api::{ImageName, is_digest};
use crate::runtime::image::Layers;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Labels by which containerd's collector finds what a document refers to.
pub(super) const GC: &str = "containerd.io/gc.ref.content";

/// The most names of one archive; a machine with all its images saved has a few hundred.
const NAMES: usize = 1024;

/// A document to be stored, with the labels that keep what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub digest: String,
    pub bytes: Vec<u8>,
    pub labels: BTreeMap<String, String>,
}

/// What a name is to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    /// What has to be unpacked for it.
    pub layers: Layers,
    /// The name by digests that stand for it too, each with its own target's media type and size.
    pub digests: BTreeMap<String, (String, u64)>,
}

/// What an archive brings.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// By full name.
    pub images: BTreeMap<String, Image>,
    /// In an order in which each comes after what it refers to.
    pub documents: Vec<Document>,
    /// Names that are not for this machine.
    pub refused: Vec<Problem>,
}

/// An image whose files are yet to be read.
#[derive(Debug)]
enum Chosen {
    /// Everything but the layers is known.
    Oci { image: Image, digests: Vec<String> },
    /// Everything follows from the layers; the same under each of its names.
    Saved(Arc<SavedImage>),
}

/// What is needed of an archive.
#[derive(Debug, Default)]
pub(super) struct Choice {
    images: BTreeMap<String, (ImageName, u8, Chosen)>,
    documents: Vec<Document>,
    refused: Vec<Problem>,
    /// How many names were read, whatever became of them.
    names: usize,
    /// The files to be read, by their numbers, with the digests they must have, and their paths.
    pub wanted: BTreeMap<usize, Wanted>,
}

/// The digest that a file must have, where one is known, and its path in the archive.
type Wanted = (Option<String>, String);

/// Chooses what this machine needs.
pub(super) fn choose(survey: &Survey, machine: &Platform) -> Result<Choice, Problem> {
    let mut choice = Choice::default();
    if survey.has("index.json") {
        let index: Manifest = parse("index.json", survey.json("index.json")?)?;
        let mut tree = Tree::new(survey, machine);
        for target in index.manifests.into_iter().flatten() {
            let added = choice.add_oci(target, &mut tree);
            choice.refuse(added)?;
        }
        choice.want(survey)?;
        choice.keep_documents(&mut tree);
    } else if survey.has("manifest.json") {
        let list: super::go::List<Saved> = parse("manifest.json", survey.json("manifest.json")?)?;
        for saved in list {
            let added = choice.add_saved(saved, survey, machine);
            choice.refuse(added)?;
        }
        choice.want(survey)?;
    } else {
        return Err(Problem::NoIndex);
    }
    match (choice.images.is_empty(), choice.refused.is_empty()) {
        (true, true) => Err(Problem::NoName),
        (true, false) => Err(choice.refused.swap_remove(0)),
        _ => Ok(choice),
    }
}

impl Choice {
    /// Leaves out one image that is not as it should be; what is wrong with the whole archive is an error.
    fn refuse(&mut self, added: Result<(), Problem>) -> Result<(), Problem> {
        match added {
            Err(problem) if problem.is_of_one_image() => self.refused.push(problem),
            added => return added,
        }
        Ok(())
    }

    fn add_oci(&mut self, mut target: Target, tree: &mut Tree<'_>) -> Result<(), Problem> {
        let annotations = std::mem::take(&mut target.annotations);
        let name = match (annotations.image_name, annotations.ref_name) {
            (Some(name), _) => name.0,
            // A tag alone does not say of what.
            (None, Some(name)) if name.0.contains(['/', ':']) => name.0,
            _ => return Ok(()),
        };
        let name = self.name(&name)?;
        let full = name.to_string();
        if full.contains('@') && full != name.with_digest(&target.digest.0) {
            return Err(Problem::Digest {
                path: full,
                digest: target.digest.0,
            });
        }
        let (rank, chosen) = match tree.choose(&target, &full) {
            Ok(chosen) => chosen,
            Err(problem @ Problem::Platform { .. }) => {
                self.refused.push(problem);
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        let mut digests = BTreeMap::new();
        for one in [&chosen.target, &chosen.manifest] {
            let kind = (one.media_type.0.clone(), one.size);
            digests.insert(name.with_digest(&one.digest.0), kind);
        }
        digests.remove(&full);
        let image = Image {
            media_type: chosen.target.media_type.0,
            digest: chosen.target.digest.0,
            size: chosen.target.size,
            digests,
            layers: chosen.layers,
        };
        let digests = chosen.documents;
        self.add(name, rank, Chosen::Oci { image, digests });
        Ok(())
    }

    fn name(&mut self, text: &str) -> Result<ImageName, Problem> {
        self.names += 1;
        if self.names > NAMES {
            return Err(Problem::Names(NAMES));
        }
        ImageName::parse(text).map_err(Problem::BadName)
    }

    /// Of several under one name the best, and of equals the last.
    fn add(&mut self, name: ImageName, rank: u8, chosen: Chosen) {
        let full = name.to_string();
        let best = self.images.get(&full);
        if best.is_none_or(|(_, best, _)| rank <= *best) {
            self.refused.retain(|problem| !problem.is_of(&full));
            self.images.insert(full, (name, rank, chosen));
        }
    }

    fn keep_documents(&mut self, tree: &mut Tree<'_>) {
        self.refused.retain(|problem| {
            let images = &self.images;
            !images.keys().any(|name| problem.is_of(name))
        });
        for (_, _, chosen) in self.images.values() {
            if let Chosen::Oci { digests, .. } = chosen {
                for digest in digests {
                    self.documents.extend(tree.take(digest));
                }
            }
        }
    }

    fn add_saved(
        &mut self,
        saved: Saved,
        survey: &Survey,
        machine: &Platform,
    ) -> Result<(), Problem> {
        let mut names = saved.repo_tags.into_iter().map(|name| name.0).peekable();
        if names.peek().is_none() {
            return Ok(());
        }
        let path = &saved.config.0;
        let bytes = survey.json(path)?;
        let config: Config = parse(path, bytes)?;
        let platform = config.platform();
        let rank = platform.rank(machine);
        let mut layers = Vec::new();
        for path in saved.layers.into_iter().flatten() {
            layers.push(survey.file(&path.0)?);
        }
        let diff_ids = config.diff_ids(layers.len(), path)?;
        let image = Arc::new(SavedImage {
            config: bytes.to_vec(),
            layers,
            diff_ids,
        });
        for name in names {
            let name = self.name(&name)?;
            let Some(rank) = rank else {
                let (has, wants) = (platform.to_string(), machine.to_string());
                let name = name.to_string();
                self.refused.push(Problem::Platform { name, has, wants });
                continue;
            };
            self.add(name, rank, Chosen::Saved(Arc::clone(&image)));
        }
        Ok(())
    }

    /// Says which files are needed; an image that lacks one is left out.
    fn want(&mut self, survey: &Survey) -> Result<(), Problem> {
        for (name, entry) in std::mem::take(&mut self.images) {
            match files_of(&entry.2, survey) {
                Ok(files) => {
                    self.wanted.extend(files);
                    self.images.insert(name, entry);
                }
                Err(problem) => self.refuse(Err(problem))?,
            }
        }
        Ok(())
    }

    /// What containerd is to be given, from the digests of the files that were wanted.
    pub fn finish(mut self, digests: &BTreeMap<usize, String>) -> Result<Brought, Problem> {
        let mut brought = Brought {
            documents: std::mem::take(&mut self.documents),
            refused: std::mem::take(&mut self.refused),
            ..Default::default()
        };
        let mut made: HashMap<*const SavedImage, Image> = HashMap::new();
        for (full, (name, _, chosen)) in &self.images {
            let image = match chosen {
                Chosen::Oci { image, .. } => image.clone(),
                Chosen::Saved(saved) => {
                    let made = made.entry(Arc::as_ptr(saved));
                    let image = made.or_insert_with(|| brought.make(saved, digests));
                    let by_digest = name.with_digest(&image.digest);
                    if full.contains('@') && *full != by_digest {
                        // A registry's manifest has another digest than the one made here.
                        let digest = image.digest.clone();
                        let path = full.clone();
                        brought.refused.push(Problem::Digest { path, digest });
                        continue;
                    }
                    let kind = (image.media_type.clone(), image.size);
                    Image {
                        digests: [(by_digest, kind)].into(),
                        ..image.clone()
                    }
                }
            };
            brought.images.insert(full.clone(), image);
        }
        Ok(brought)
    }
}

/// The layers of an image: their files by number, with the digests they must have, and their paths.
fn files_of(chosen: &Chosen, survey: &Survey) -> Result<Vec<(usize, Wanted)>, Problem> {
    let mut files = Vec::new();
    match chosen {
        Chosen::Oci { image, .. } => {
            for layer in &image.layers.layers {
                let path = blob_path(&layer.digest);
                let found = survey.file(&path)?;
                found.packing.check(&path)?;
                files.push((found.number, (Some(layer.digest.clone()), path)));
            }
        }
        Chosen::Saved(image) => {
            for layer in &image.layers {
                let path = survey.path_of(layer.number);
                layer.packing.check(&path)?;
                files.push((layer.number, (None, path)));
            }
        }
    }
    Ok(files)
}

impl Brought {
    pub(super) fn add(&mut self, digest: String, bytes: Vec<u8>, labels: BTreeMap<String, String>) {
        if !self.documents.iter().any(|d| d.digest == digest) {
            self.documents.push(Document {
                digest,
                bytes,
                labels,
            });
        }
    }
}

/// Where the layout keeps a digest.
pub(super) fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The digest whose path this is.
pub(super) fn digest_at(path: &str) -> Option<String> {
    let digest = path.strip_prefix("blobs/")?.replacen('/', ":", 1);
    is_digest(&digest).then_some(digest)
}

pub(super) fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}
