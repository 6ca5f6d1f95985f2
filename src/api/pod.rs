//! The pod made from a DaemonSet: what the DaemonSet controller puts in, and what the API server
//! then defaults and checks.
//!
//! A template is spared some rules, and some defaults are given to pods only, so a DaemonSet can be
//! admitted although every pod of it is refused; [`pod_from_template`] says so.

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::revisions::HASH_LABEL;
use super::{Cause, DaemonSet, FieldError, Uid, defaults, validate};

/// The pod of `set` for a node: labels, owner, affinity and tolerations as the DaemonSet controller
/// sets them, then defaulted and checked as an API server does, and bound to the node.
///
/// # Errors
/// What an API server would refuse about the pod though it accepted the template; paths begin at
/// the pod.
pub fn pod_from_template(
    set: &DaemonSet,
    node_name: &str,
    pod_name: &str,
    uid: &Uid,
) -> Result<Pod, Vec<FieldError>> {
    // What is put in below is valid by itself, so the checks are those of the template's pod.
    let mut pod = defaulted_pod(set)?;
    pod.metadata = metadata(set, pod_name, uid);
    if let Some(spec) = &mut pod.spec {
        spec.tolerations = Some(daemon_tolerations(spec));
        spec.affinity = Some(pinned(spec.affinity.take(), node_name));
        spec.node_name = Some(node_name.to_owned());
        set_priority(spec);
    }
    Ok(pod)
}

/// The pod of the template alone, as an API server defaults and checks it: no node, no owner.
///
/// # Errors
/// What an API server would refuse about the pod though it accepted the template.
pub fn defaulted_pod(set: &DaemonSet) -> Result<Pod, Vec<FieldError>> {
    let template = set.template().metadata.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        name: Some("pod".to_owned()),
        namespace: Some(set.key().namespace.clone()),
        labels: template.labels,
        annotations: template.annotations,
        ..ObjectMeta::default()
    };
    admit_pod(metadata, set.pod_spec().clone())
}

/// Defaults and checks a pod that is about to be.
fn admit_pod(metadata: ObjectMeta, spec: PodSpec) -> Result<Pod, Vec<FieldError>> {
    let pod = Pod {
        metadata,
        spec: Some(spec),
        status: None,
    };
    let mut value = serde_json::to_value(&pod).map_err(|error| unreadable(&error))?;
    defaults::apply_pod(&mut value);
    let errors = validate::validate_pod(&with_service_account(&value));
    if errors.is_empty() {
        serde_json::from_value(value).map_err(|error| unreadable(&error))
    } else {
        Err(errors)
    }
}

fn unreadable(error: &serde_json::Error) -> Vec<FieldError> {
    vec![FieldError::new(
        "",
        Cause::TypeInvalid,
        format!("the pod cannot be read back: {error}"),
    )]
}

/// The pod as admission would pass it on: with the service account every pod has there.
fn with_service_account(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(Value::Object(spec)) = pod.get_mut("spec") {
        spec.entry("serviceAccountName")
            .or_insert_with(|| Value::from("default"));
    }
    pod
}

fn metadata(set: &DaemonSet, name: &str, uid: &Uid) -> ObjectMeta {
    let template = set.template().metadata.clone().unwrap_or_default();
    let mut labels = template.labels.unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), set.revision().to_string());
    if let Some(generation) = set.annotation("deprecated.daemonset.template.generation") {
        labels.insert("pod-template-generation".to_owned(), generation.to_owned());
    }
    ObjectMeta {
        name: Some(name.to_owned()),
        generate_name: Some(format!("{}-", set.key().name)),
        namespace: Some(set.key().namespace.clone()),
        uid: Some(uid.as_str().to_owned()),
        labels: Some(labels),
        annotations: template.annotations,
        finalizers: template.finalizers,
        owner_references: Some(vec![owner_reference(set)]),
        ..ObjectMeta::default()
    }
}

/// The reference to the set that its pods and revisions carry.
///
/// Differs: a set from a file has no uid of a server's; one that follows from its namespace and
/// name stands in.
pub(super) fn owner_reference(set: &DaemonSet) -> OwnerReference {
    let uid = set.metadata().uid.clone().unwrap_or_else(|| {
        let digest = Sha256::digest(set.key().to_string().as_bytes());
        let hex: String = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (a, b, c, d, e) = (
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..],
        );
        format!("{a}-{b}-8{c}-8{d}-{e}")
    });
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "DaemonSet".to_owned(),
        name: set.key().name.clone(),
        uid,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The affinity with every required node term replaced by the one that names the node.
fn pinned(affinity: Option<Affinity>, node_name: &str) -> Affinity {
    let term = NodeSelectorTerm {
        match_expressions: None,
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node_name.to_owned()]),
        }]),
    };
    let mut affinity = affinity.unwrap_or_default();
    let node = affinity.node_affinity.get_or_insert_default();
    node.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![term],
    });
    affinity
}

/// The priority that admission would look up; classes other than the built-in ones are unknown
/// here, and their pods get none.
fn set_priority(spec: &mut PodSpec) {
    let class = spec.priority_class_name.as_deref().unwrap_or_default();
    let priority = match class {
        "" => 0,
        "system-cluster-critical" => 2_000_000_000,
        "system-node-critical" => 2_000_001_000,
        _ => return,
    };
    spec.priority.get_or_insert(priority);
    spec.preemption_policy
        .get_or_insert_with(|| "PreemptLowerPriority".to_owned());
}

/// The tolerations of the template and those every pod of a DaemonSet gets, in their fixed order.
///
/// One that the template has already is replaced where it stands, and so loses its
/// `tolerationSeconds`.
#[must_use]
pub fn daemon_tolerations(pod_spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = pod_spec.tolerations.clone().unwrap_or_default();
    for (name, effect) in [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("network-unavailable", "NoSchedule"),
    ] {
        if name == "network-unavailable" && pod_spec.host_network != Some(true) {
            continue;
        }
        let wanted = Toleration {
            key: Some(format!("node.kubernetes.io/{name}")),
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
    }
    tolerations
}
