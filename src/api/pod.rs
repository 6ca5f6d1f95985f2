//! The pod made from a DaemonSet: what the DaemonSet controller puts in, and what the API server
//! then defaults and checks.

use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};

use super::{DaemonSet, FieldError, Uid};

/// The pod of `set` for a node.
///
/// # Errors
/// What an API server would refuse about the pod though it accepted the template.
pub fn pod_from_template(
    set: &DaemonSet,
    node_name: &str,
    pod_name: &str,
    uid: &Uid,
) -> Result<Pod, Vec<FieldError>> {
    let mut pod = Pod {
        spec: Some(set.pod_spec().clone()),
        ..Pod::default()
    };
    pod.metadata = set.template().metadata.clone().unwrap_or_default();
    pod.metadata.name = Some(pod_name.to_owned());
    pod.metadata.namespace = Some(set.key().namespace.clone());
    pod.metadata.uid = Some(uid.as_str().to_owned());
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some(node_name.to_owned());
        spec.tolerations = Some(daemon_tolerations(spec));
    }
    Ok(pod)
}

/// The pod of the template alone, as an API server defaults and checks it: no node, no owner.
///
/// # Errors
/// What an API server would refuse about the pod though it accepted the template.
pub fn defaulted_pod(set: &DaemonSet) -> Result<Pod, Vec<FieldError>> {
    let mut pod = Pod {
        spec: Some(set.pod_spec().clone()),
        ..Pod::default()
    };
    pod.metadata = set.template().metadata.clone().unwrap_or_default();
    Ok(pod)
}

/// The tolerations of the template and those every pod of a DaemonSet gets, in their fixed order.
#[must_use]
pub fn daemon_tolerations(pod_spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = pod_spec.tolerations.clone().unwrap_or_default();
    let mut add = |key: &str, effect: &str| {
        let wanted = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        let same = tolerations.iter_mut().find(|have| {
            have.key == wanted.key
                && have.operator == wanted.operator
                && have.effect == wanted.effect
                && have.value.as_deref().unwrap_or_default().is_empty()
        });
        match same {
            Some(have) => *have = wanted,
            None => tolerations.push(wanted),
        }
    };
    add("node.kubernetes.io/not-ready", "NoExecute");
    add("node.kubernetes.io/unreachable", "NoExecute");
    add("node.kubernetes.io/disk-pressure", "NoSchedule");
    add("node.kubernetes.io/memory-pressure", "NoSchedule");
    add("node.kubernetes.io/pid-pressure", "NoSchedule");
    add("node.kubernetes.io/unschedulable", "NoSchedule");
    if pod_spec.host_network == Some(true) {
        add("node.kubernetes.io/network-unavailable", "NoSchedule");
    }
    tolerations
}
