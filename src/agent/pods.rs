//! Records of pods: how a new one is named and made, and how one found in the runtime is taken over.
//!
//! Differs: kubelet takes up a static pod again that comes back under the uid it had, and changes one
//! with a fixed uid in place; here every pod has a uid of its own, and an end is an end.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use uuid::Uuid;

use crate::api::daemonset::DaemonSet;
use crate::api::pod::pod_from_template;
use crate::api::{ObjectKey, PodKey, Uid, after};
use crate::model::{ObservedPod, PodRecord, Reason};

/// The characters of generated names: no vowels, so no words, and nothing that looks like another.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The longest set name that still fits a pod's name of 63 characters, as the API server cuts it.
const LONGEST_BASE: usize = 57;

/// Makes the record of a new pod of a set, with a random uid and a name of its own.
///
/// # Errors
/// The reason why a pod of this template is refused, as an API server would refuse it.
pub fn new_record(set: &DaemonSet, node: &str, now: Timestamp) -> Result<PodRecord, Reason> {
    let key = PodKey {
        namespace: set.key().namespace.clone(),
        name: pod_name(&set.key().name, Uuid::new_v4()),
        uid: Uid::new(Uuid::new_v4().to_string()),
    };
    record_of(set, node, key, now)
}

/// Makes the record of a pod that runs already and matches the set's revision: adoption.
///
/// # Errors
/// The reason why a pod of this template is refused.
pub fn adopted_record(
    set: &DaemonSet,
    node: &str,
    found: &ObservedPod,
    now: Timestamp,
) -> Result<PodRecord, Reason> {
    record_of(set, node, found.key.clone(), now)
}

/// The record of a pod found in the runtime that no set wants: all that is known is its end.
#[must_use]
pub fn orphan_record(found: &ObservedPod, node: &str, now: Timestamp) -> PodRecord {
    // Under which name it was made is what it is found by after a change of that.
    let spec = PodSpec {
        node_name: Some(node.to_owned()),
        ..PodSpec::default()
    };
    PodRecord {
        renewals: BTreeMap::new(),
        key: found.key.clone(),
        set: found.set.clone(),
        revision: found.revision.clone(),
        pod: Pod {
            spec: Some(spec),
            ..Pod::default()
        },
        created_at: now,
        ending_since: Some(now),
        evicted: None,
    }
}

/// The same pod, its end decided.
#[must_use]
pub fn ending(record: &PodRecord, now: Timestamp) -> Arc<PodRecord> {
    Arc::new(PodRecord {
        ending_since: Some(now),
        ..record.clone()
    })
}

/// The same pod, its end decided because it may not go on.
#[must_use]
pub fn evicted(record: &PodRecord, reason: Reason, now: Timestamp) -> Arc<PodRecord> {
    Arc::new(PodRecord {
        ending_since: Some(now),
        evicted: Some(reason),
        ..record.clone()
    })
}

fn record_of(
    set: &DaemonSet,
    node: &str,
    key: PodKey,
    now: Timestamp,
) -> Result<PodRecord, Reason> {
    let mut pod = pod_from_template(set, node, &key.name, &key.uid).map_err(|errors| {
        let errors: Vec<String> = errors
            .iter()
            .map(|e| format!("{}: {}", e.field, e.message))
            .collect();
        Reason::new(
            "FailedCreate",
            format!("a pod of this template is refused: {}", errors.join("; ")),
        )
    })?;
    // Differs: the order in which sets end must be known when their manifests are gone, so a pod
    // carries its set's annotation.
    if let Some(text) = set.annotation(after::ANNOTATION) {
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(after::ANNOTATION.to_owned(), text.to_owned());
    }
    Ok(PodRecord {
        renewals: BTreeMap::new(),
        key,
        set: ObjectKey::clone(set.key()),
        revision: set.revision().clone(),
        pod,
        created_at: now,
        ending_since: None,
        evicted: None,
    })
}

/// `SET-xxxxx`, the five characters taken from a random value.
fn pod_name(set: &str, random: Uuid) -> String {
    let base: String = set.chars().take(LONGEST_BASE).collect();
    let suffix = random
        .as_bytes()
        .iter()
        .take(5)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    format!("{base}-{}", suffix.collect::<String>())
}
