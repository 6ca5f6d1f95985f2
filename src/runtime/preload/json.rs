//! An archive's JSON documents, with the types that containerd reads them into: image-spec's
//! `specs-go/v1`, and of docker's own list what containerd's importer knows.

use serde::de::{Error, IgnoredAny, MapAccess};

use super::checked::{Each, Empty, Named, Time, Truth, Whole, Word, Words};
use super::error::Problem;
use super::go::{self, Go, Key, List, Over, Text, object};
use super::platform::Platform;

/// Names of images have fewer bytes.
const NAME: usize = 1024;
/// containerd's own name for an image in an index, in full.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// The layout's name for it, often but a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Set on what belongs to an image and is none, such as an attestation.
const REFERENCE: &str = "vnd.docker.reference.type";

/// A descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub media_type: Text,
    pub digest: Text,
    pub size: u64,
    pub platform: Option<Platform>,
    pub annotations: Annotations,
}

object! { Target {
    "mediaType" => media_type,
    "digest" => digest,
    "size" => size,
    "platform" => platform,
    "annotations" => annotations,
} checked {
    "urls" => Words,
    "data" => Word,
    "artifactType" => Word,
} }

/// A manifest or an index.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub media_type: Text,
    pub config: Option<Target>,
    pub layers: Option<List<Target>>,
    pub manifests: Option<List<Target>>,
}

object! { Manifest {
    "mediaType" => media_type,
    "config" => config,
    "layers" => layers,
    "manifests" => manifests,
} checked {
    "schemaVersion" => Whole,
    "artifactType" => Word,
    "subject" => Target,
    "annotations" => Named<Word>,
} }

/// What of a descriptor's annotations says which image it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    pub image_name: Option<Name>,
    pub ref_name: Option<Name>,
    pub is_reference: bool,
}

impl Go for Annotations {
    const WHAT: &'static str = "an object";

    fn null(&mut self) {
        *self = Self::default();
    }

    fn object<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        // A map's keys are what they are.
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                IMAGE_NAME => map.next_value_seed(Over(self.image_name.get_or_insert_default()))?,
                REF_NAME => map.next_value_seed(Over(self.ref_name.get_or_insert_default()))?,
                key => {
                    self.is_reference |= key == REFERENCE;
                    map.next_value_seed(Over(&mut Word))?;
                }
            }
        }
        Ok(true)
    }
}

/// A name of an image; one that is longer than any is cut, and valid no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Name(pub String);

impl Go for Name {
    const WHAT: &'static str = "a text";

    fn text<E: Error>(&mut self, text: &str) -> Result<bool, E> {
        let end = text.char_indices().nth(NAME);
        self.0 = match end {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        Ok(true)
    }
}

/// One image of docker's own list.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub config: Text,
    pub repo_tags: List<Name>,
    pub layers: Option<List<Text>>,
}

object! { Saved {
    "Config" => config,
    "RepoTags" => repo_tags,
    "Layers" => layers,
} checked {} }

/// An image's configuration.
#[derive(Debug, Default)]
pub(super) struct Config {
    os: Text,
    architecture: Text,
    variant: Text,
    rootfs: RootFs,
}

object! { Config {
    "os" => os,
    "architecture" => architecture,
    "variant" => variant,
    "rootfs" => rootfs,
} checked {
    "os.version" => Word,
    "os.features" => Words,
    "created" => Time,
    "author" => Word,
    "config" => Run,
    "history" => Each<History>,
} }

/// What its layers are when they are unpacked.
#[derive(Debug, Default)]
struct RootFs {
    diff_ids: List<Text>,
}

object! { RootFs { "diff_ids" => diff_ids } checked { "type" => Word } }

/// How it is run: only whether it can be understood.
#[derive(Debug, Default)]
struct Run {}

object! { Run {} checked {
    "User" => Word,
    "ExposedPorts" => Named<Empty>,
    "Env" => Words,
    "Entrypoint" => Words,
    "Cmd" => Words,
    "Volumes" => Named<Empty>,
    "WorkingDir" => Word,
    "Labels" => Named<Word>,
    "StopSignal" => Word,
    "ArgsEscaped" => Truth,
} }

/// How it was made: the same.
#[derive(Debug, Default)]
struct History {}

object! { History {} checked {
    "created" => Time,
    "created_by" => Word,
    "author" => Word,
    "comment" => Word,
    "empty_layer" => Truth,
} }

object! { Platform {
    "os" => os,
    "architecture" => architecture,
    "variant" => variant,
} checked {
    "os.version" => Word,
    "os.features" => Words,
} }

impl Config {
    /// What it is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }

    /// The digests of the unpacked layers, of which there must be so many.
    pub fn diff_ids(&self, layers: usize, path: &str) -> Result<Vec<String>, Problem> {
        let ids: Vec<String> = self.rootfs.diff_ids.iter().map(|id| id.0.clone()).collect();
        match ids.len() == layers {
            true => Ok(ids),
            false => Err(Problem::Layers {
                path: path.to_owned(),
                ids: ids.len(),
                layers,
            }),
        }
    }
}

/// Reads a document.
pub(super) fn parse<T: Go>(path: &str, bytes: &[u8]) -> Result<T, Problem> {
    go::read(bytes).map_err(|source| Problem::Json {
        path: path.to_owned(),
        source,
    })
}
