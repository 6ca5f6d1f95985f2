//! What an earlier life of the agent left on disk, and what of that the runtime has under another name.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use crate::api::Uid;
use crate::model::{PodRecord, SetRecord};
use crate::store::{Error, Store};

/// What an earlier life of the agent left on disk.
pub struct Kept {
    /// The pods.
    pub pods: Vec<PodRecord>,
    /// The sets.
    pub sets: Vec<SetRecord>,
}

impl Kept {
    /// Reads what can be read, and tells of the rest.
    ///
    /// # Errors
    /// The directories cannot be listed.
    pub fn read(store: &Store) -> Result<Self, Error> {
        let (pods, corrupt_pods) = store.pods()?;
        let (sets, corrupt_sets) = store.sets()?;
        for found in corrupt_pods.iter().chain(&corrupt_sets) {
            warn!("{found}");
        }
        Ok(Self { pods, sets })
    }

    /// The pods that were made while the node had another name: a host name may change by DHCP, and what
    /// runs goes on. In the runtime they carry the name that they were made under.
    #[must_use]
    pub fn of_earlier_names(&self, node: &str) -> BTreeSet<Uid> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut uids = BTreeSet::new();
        for record in &self.pods {
            let spec = record.pod.spec.as_ref();
            let name = spec.and_then(|spec| spec.node_name.as_deref());
            if let Some(name) = name.filter(|name| *name != node) {
                *names.entry(name).or_default() += 1;
                uids.insert(record.key.uid.clone());
            }
        }
        for (name, pods) in names {
            warn!(
                "the node's name was {name} and is {node} now; {pods} pods that were made before are \
                 taken over"
            );
        }
        uids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DesiredPod;

    #[test]
    fn pods_of_another_name_are_known_by_their_records() {
        let of = |uid: &str, node: &str| {
            let pod = DesiredPod::of_test(serde_json::json!({"nodeName": node}), &[]);
            let mut record = PodRecord::clone(&pod.record);
            record.key.uid = Uid::new(uid);
            record
        };
        let kept = Kept {
            pods: vec![of("a", "edge"), of("b", "edge2"), of("c", "edge")],
            sets: Vec::new(),
        };
        let expected = ["a", "c"].map(Uid::new);
        assert_eq!(kept.of_earlier_names("edge2"), BTreeSet::from(expected));
    }
}
