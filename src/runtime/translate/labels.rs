//! Labels and annotations on sandboxes and containers: kubelet's names, so that crictl, cAdvisor
//! and log shippers work unchanged, and this agent's own, by which it finds what is its.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Container;
use sha2::{Digest, Sha256};

use crate::model::DesiredPod;

/// The node the agent runs as: the agent lists, stops and removes only what carries its own.
pub const NODE: &str = "setlet.dev/node";
/// The DaemonSet's name, shortened to a valid label value; the annotation of the same name has it
/// whole. Its namespace is the pod's.
pub const SET: &str = "setlet.dev/daemonset";
/// Annotation of a sandbox: the state directory of the agent that made it, by which it is told from one
/// of another agent with the same node name.
pub const STATE: &str = "setlet.dev/state";
/// The revision the pod is made of.
pub const REVISION: &str = "controller-revision-hash";
/// Annotation of a container: how many crashes in a row led to it.
pub const BACKOFF_LEVEL: &str = "setlet.dev/backoff-level";
/// Annotation of a container: why the registry could not be asked for its image, as the policy `Always`
/// wants it.
pub const IMAGE_STALE: &str = "setlet.dev/image-stale";
/// The pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// The pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// The pod's uid.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// The container's name in the pod.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Annotation: [`container_hash`] of what the container was made of.
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
/// Annotation: the attempt, again as text.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Annotation: where the container writes its last words.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Annotation: whether the log stands in for missing last words.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation: the container's ports as JSON.
pub const PORTS: &str = "io.kubernetes.container.ports";
/// Annotation: the preStop hook as JSON.
pub const PRE_STOP_HANDLER: &str = "io.kubernetes.container.preStopHandler";
/// Annotation: the pod's grace period in seconds when the container was made.
pub const POD_GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";

/// The longest label value Kubernetes allows.
const MAX_LABEL_VALUE: usize = 63;

/// What every sandbox and container of a pod is found by.
pub(super) fn identity(pod: &DesiredPod, node: &str) -> HashMap<String, String> {
    let key = pod.key();
    let set = &pod.record.set.name;
    [
        (POD_NAME, key.name.clone()),
        (POD_NAMESPACE, key.namespace.clone()),
        (POD_UID, key.uid.as_str().to_owned()),
        (NODE, node.to_owned()),
        (SET, label_value(set)),
        (REVISION, pod.record.revision.as_str().to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The DaemonSet's name as read back from labels and annotations.
#[must_use]
pub fn set_name<'a>(
    labels: &'a HashMap<String, String>,
    annotations: &'a HashMap<String, String>,
) -> Option<&'a str> {
    annotations
        .get(SET)
        .or_else(|| labels.get(SET))
        .map(String::as_str)
}

/// A hash of a container's specification: equal while nothing of it changed.
#[must_use]
pub fn container_hash(container: &Container) -> String {
    let value = serde_json::to_value(container).unwrap_or_default();
    hex(&Sha256::digest(value.to_string())[..4])
}

/// Copies a map of the pod's metadata.
pub(super) fn copied(map: Option<&BTreeMap<String, String>>) -> HashMap<String, String> {
    map.into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// A name as a label value: itself, or its beginning with a hash of the whole.
fn label_value(name: &str) -> String {
    if name.len() <= MAX_LABEL_VALUE {
        return name.to_owned();
    }
    let hash = hex(&Sha256::digest(name)[..4]);
    let head: String = name.chars().take(MAX_LABEL_VALUE - 9).collect();
    format!("{}-{hash}", head.trim_end_matches(['.', '-']))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_become_valid_label_values_and_stay_distinct() {
        let (a, b) = ("x".repeat(200) + "a", "x".repeat(200) + "b");
        assert_eq!(label_value("short.name"), "short.name");
        assert_eq!(label_value(&a).len(), MAX_LABEL_VALUE);
        assert_ne!(label_value(&a), label_value(&b));
    }
}
