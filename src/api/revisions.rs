//! Revisions of a DaemonSet: the hash of a template, and the history of those that were.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::names::Revision;

/// The letters Kubernetes uses in generated names: none that form words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a defaulted template, ten characters that are safe in names and labels.
#[must_use]
pub fn hash(template: &PodTemplateSpec) -> Revision {
    let canonical = serde_json::to_value(template)
        .unwrap_or(Value::Null)
        .to_string();
    let digest = Sha256::digest(canonical);
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
