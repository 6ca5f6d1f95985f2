//! Several sources as one, and what people read about a refused document. Pure.

use std::collections::BTreeMap;

use crate::api::ObjectKey;
use crate::model::{Refused, Snapshot, SourceCondition};

/// Combines the snapshots of sources, the one that takes precedence first. The result is synced
/// when every part is; its condition is the first that is not in order.
#[must_use]
pub fn combine(parts: &[&Snapshot]) -> Snapshot {
    let mut all = Snapshot {
        synced: parts.iter().all(|part| part.synced),
        condition: parts
            .iter()
            .map(|part| &part.condition)
            .find(|condition| **condition != SourceCondition::Ready)
            .cloned()
            .unwrap_or(SourceCondition::Ready),
        ..Snapshot::default()
    };
    for part in parts {
        for (key, (set, origin)) in &part.sets {
            if let Some((_, first)) = all.sets.get(key) {
                all.refused.push(Refused {
                    origin: origin.clone(),
                    object: Some(format!("DaemonSet {key}")),
                    set: Some(key.clone()),
                    last_good: false,
                    errors: vec![format!(
                        "{origin}: DaemonSet {key} is a duplicate of the one in {first}, which \
                         is used because its source takes precedence"
                    )],
                });
            } else {
                all.sets.insert(key.clone(), (set.clone(), origin.clone()));
            }
        }
        add_missing(&mut all.config_maps, &part.config_maps);
        add_missing(&mut all.secrets, &part.secrets);
        all.refused.extend(part.refused.iter().cloned());
        all.unread.extend(part.unread.iter().cloned());
    }
    all
}

fn add_missing<T: Clone>(all: &mut BTreeMap<ObjectKey, T>, part: &BTreeMap<ObjectKey, T>) {
    for (key, value) in part {
        all.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// The line `setlet status` prints of a refused document.
#[must_use]
pub fn describe(refused: &Refused) -> String {
    let first = refused.errors.first().map_or("refused", String::as_str);
    let more = match refused.errors.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    if refused.last_good {
        format!("file changed, refused: {first}{more}; the version before it stays in force")
    } else {
        format!("refused: {first}{more}")
    }
}
