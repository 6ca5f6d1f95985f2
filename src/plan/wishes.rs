//! What a set asks for that this version does not do: named, so that nobody waits for it.
//!
//! The set runs all the same; these wishes are about how it is updated, not about what runs.

use crate::api::daemonset::DaemonSet;
use crate::model::Reason;

/// Annotations of the set that are not followed.
const ANNOTATIONS: [&str; 1] = ["setlet.dev/after"];

/// Every wish of the set that is not followed, with its field.
#[must_use]
pub fn unfollowed(set: &DaemonSet) -> Vec<Reason> {
    let named = |annotation: &&&str| set.annotation(annotation).is_some();
    ANNOTATIONS
        .iter()
        .filter(named)
        .map(|annotation| unfollowed_field(&format!("metadata.annotations[{annotation}]")))
        .collect()
}

fn unfollowed_field(field: &str) -> Reason {
    Reason::new(
        "NotFollowed",
        format!("{field}: this version does not follow it"),
    )
}
