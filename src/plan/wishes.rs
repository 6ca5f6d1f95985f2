//! What a set asks for that this version does not do: named, so that nobody waits for it.
//!
//! The set runs all the same; these wishes are about how it is updated and bounded, not about what
//! runs.

use crate::api::daemonset::DaemonSet;
use crate::model::Reason;

/// Every wish of the set that is not followed, with its field.
#[must_use]
pub fn unfollowed(set: &DaemonSet) -> Vec<Reason> {
    disk_limits(set).collect()
}

/// Limits of volumes on disk, which only a kubelet that evicts pods holds to.
fn disk_limits(set: &DaemonSet) -> impl Iterator<Item = Reason> + '_ {
    let volumes = set.pod_spec().volumes.iter().flatten().enumerate();
    volumes.filter_map(|(index, volume)| {
        let empty_dir = volume.empty_dir.as_ref()?;
        let on_disk = empty_dir.medium.as_deref().unwrap_or_default().is_empty();
        (on_disk && empty_dir.size_limit.is_some()).then(|| {
            let field = format!("spec.template.spec.volumes[{index}].emptyDir.sizeLimit");
            unfollowed_field(&field)
        })
    })
}

fn unfollowed_field(field: &str) -> Reason {
    Reason::new(
        "NotFollowed",
        format!("{field}: this version does not follow it"),
    )
}
