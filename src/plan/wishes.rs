//! What a set asks for that this version does not do: named, so that nobody waits for it.
//!
//! The set runs all the same; these wishes are about how it is updated and bounded, not about what
//! runs.

use crate::api::daemonset::DaemonSet;
use crate::model::Reason;

/// Annotations of the set that are not followed.
const ANNOTATIONS: [&str; 6] = [
    "setlet.dev/rollback",
    "setlet.dev/hold",
    "setlet.dev/paused",
    "setlet.dev/after",
    "setlet.dev/config-rollout",
    "setlet.dev/update",
];

/// Every wish of the set that is not followed, with its field.
#[must_use]
pub fn unfollowed(set: &DaemonSet) -> Vec<Reason> {
    let named = |annotation: &&&str| set.annotation(annotation).is_some();
    let mut wishes: Vec<Reason> = ANNOTATIONS
        .iter()
        .filter(named)
        .map(|annotation| unfollowed_field(&format!("metadata.annotations[{annotation}]")))
        .collect();
    if surges(set) {
        let field = "spec.updateStrategy.rollingUpdate.maxSurge";
        let mut reason = unfollowed_field(field);
        reason
            .message
            .push_str("; the old pod ends before the new one starts");
        wishes.push(reason);
    }
    wishes.extend(disk_limits(set));
    wishes
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

/// Whether an update is to start the new pod before the old one ends.
fn surges(set: &DaemonSet) -> bool {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let strategy = set.spec().update_strategy.as_ref();
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    match rolling.and_then(|rolling| rolling.max_surge.as_ref()) {
        Some(IntOrString::Int(number)) => *number > 0,
        Some(IntOrString::String(percent)) => percent != "0%",
        None => false,
    }
}
