//! Revisions of a DaemonSet: the hash of a template, the object that records one, and which survive.
//!
//! Follows the DaemonSet controller of Kubernetes v1.36: a revision records the template alone, a
//! template that comes back gets its old object with a new number, and old revisions go from the
//! oldest on while there are more than `revisionHistoryLimit`, those in use by pods excepted.
//! Differs: the hash itself is ours; the reference's depends on the memory layout of Go structs.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::DaemonSet;
use super::names::Revision;

/// The label that carries a revision's hash, on the revision and on its pods.
pub const HASH_LABEL: &str = "controller-revision-hash";

/// The letters Kubernetes uses in generated names: none that form words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a defaulted template, ten characters that are safe in names and labels.
#[must_use]
pub fn hash(template: &PodTemplateSpec) -> Revision {
    hash_after(template, 0)
}

/// The hash of a template after so many of its names turned out to be taken.
#[must_use]
pub fn hash_after(template: &PodTemplateSpec, collisions: u32) -> Revision {
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(&canonical(template)).unwrap_or_default());
    if collisions > 0 {
        digest.update(collisions.to_be_bytes());
    }
    let digest = digest.finalize();
    let mut number = digest
        .iter()
        .take(8)
        .fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
    let mut text = String::with_capacity(10);
    for _ in 0..10 {
        let letter = usize::try_from(number % 27).unwrap_or_default();
        text.push(char::from(ALPHABET.get(letter).copied().unwrap_or(b'b')));
        number /= 27;
    }
    Revision::new(text)
}

/// The template as JSON with its keys in order.
fn canonical(template: &PodTemplateSpec) -> Value {
    serde_json::to_value(template).unwrap_or_default()
}

/// What a revision records: the patch that puts the template back.
#[must_use]
pub fn patch(template: &PodTemplateSpec) -> Value {
    let mut template = canonical(template);
    template["$patch"] = Value::from("replace");
    json!({"spec": {"template": template}})
}

/// The patch as compact JSON, keys in order: two revisions are the same when these bytes are.
#[must_use]
pub fn patch_bytes(template: &PodTemplateSpec) -> Vec<u8> {
    patch(template).to_string().into_bytes()
}

/// The template that a revision records; nothing where its data is not such a patch.
#[must_use]
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let RawExtension(data) = revision.data.as_ref()?;
    let mut template = data.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// The images that a recorded template names, of containers and of volumes.
pub fn images_of(revision: &ControllerRevision) -> impl Iterator<Item = &str> {
    let spec = revision
        .data
        .iter()
        .filter_map(|RawExtension(data)| data.pointer("/spec/template/spec"));
    spec.flat_map(|spec| {
        let list = |name: &str| spec[name].as_array().into_iter().flatten();
        let containers = list("initContainers").chain(list("containers"));
        let named = containers.filter_map(|container| container["image"].as_str());
        named.chain(list("volumes").filter_map(|v| v["image"]["reference"].as_str()))
    })
}

/// The object that records the set's present template under this number.
///
/// `taken` tells whether a name belongs to another object already; another hash is tried then, and
/// the number of tries comes back with the object.
#[must_use]
pub fn controller_revision(
    set: &DaemonSet,
    number: i64,
    taken: impl Fn(&str) -> bool,
) -> (ControllerRevision, u32) {
    let mut collisions = 0;
    let (mut revision, mut name);
    loop {
        revision = hash_after(set.template(), collisions);
        name = format!("{}-{revision}", set.key().name);
        if !taken(&name) || collisions == u32::MAX {
            break;
        }
        collisions += 1;
    }
    let template = set.template().metadata.as_ref();
    let mut labels = template
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), revision.to_string());
    let object = ControllerRevision {
        data: Some(RawExtension(patch(set.template()))),
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(set.key().namespace.clone()),
            labels: Some(labels),
            annotations: set.metadata().annotations.clone(),
            owner_references: Some(vec![super::pod::owner_reference(set)]),
            ..ObjectMeta::default()
        },
        revision: number,
    };
    (object, collisions)
}

/// What becomes of the history when a set is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The template is new: record it under this number.
    New {
        /// One more than the highest number there is.
        number: i64,
    },
    /// The template was there before: the object at this place in the history gets this number.
    Reuse {
        /// The place in the history.
        index: usize,
        /// Its own number while it is the newest, else one more than the highest of the others.
        number: i64,
    },
}

/// How the history goes on with the set's present template.
#[must_use]
pub fn advance(history: &[ControllerRevision], set: &DaemonSet) -> Advance {
    let wanted = patch(set.template());
    let current = |revision: &ControllerRevision| {
        revision
            .data
            .as_ref()
            .is_some_and(|RawExtension(data)| *data == wanted)
    };
    let highest_old = history
        .iter()
        .filter(|r| !current(r))
        .map(|r| r.revision)
        .max();
    let number = highest_old.unwrap_or(0) + 1;
    let newest = history.iter().enumerate().filter(|(_, r)| current(r));
    match newest.max_by_key(|(_, revision)| revision.revision) {
        Some((index, revision)) => Advance::Reuse {
            index,
            number: revision.revision.max(number),
        },
        None => Advance::New { number },
    }
}

/// The places in the history of the revisions to delete, oldest first.
///
/// The present template's revision is not counted. Revisions whose hash is in `live`, the hashes of
/// the pods there are, count and stay.
#[must_use]
pub fn surplus(
    history: &[ControllerRevision],
    set: &DaemonSet,
    live: &BTreeSet<Revision>,
) -> Vec<usize> {
    let wanted = patch(set.template());
    let mut old: Vec<(i64, usize)> = history
        .iter()
        .enumerate()
        .filter(|(_, r)| {
            r.data
                .as_ref()
                .is_none_or(|RawExtension(data)| *data != wanted)
        })
        .map(|(index, revision)| (revision.revision, index))
        .collect();
    old.sort_unstable();
    let limit = set.spec().revision_history_limit.unwrap_or(10);
    let too_many = old
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(0));
    let in_use = |index: usize| {
        let labels = history.get(index).and_then(|r| r.metadata.labels.as_ref());
        let hash = labels.and_then(|labels| labels.get(HASH_LABEL));
        hash.is_some_and(|hash| live.contains(&Revision::new(hash)))
    };
    let unused = old
        .into_iter()
        .map(|(_, index)| index)
        .filter(|index| !in_use(*index));
    unused.take(too_many).collect()
}
