//! What kube-apiserver v1.36 refuses, on defaulted values.
//!
//! Every rule is followed to the path and cause that the reference reports, odd ones included; the
//! messages are ours. Rules of pods that templates are spared are applied when a pod is made.

mod affinity;
mod annotations;
mod at;
mod config;
mod container;
mod env;
mod labels;
mod meta;
mod mounts;
mod names;
mod network;
mod pod;
mod pod_resources;
mod probes;
mod resources;
mod scheduling;
mod security;
mod storage;
mod volumes;
mod workload;

use serde_json::Value;

use super::{FieldError, Kind};
use at::{At, Errors};

pub(super) use names::{label, subdomain};
pub(super) use pod_resources::{aggregate_limits, aggregate_requests, is_pod_level};

/// Every rule the object breaks.
pub(super) fn validate(kind: Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let root = At::root(object);
    meta::metadata(&mut errors, &root.field("metadata"));
    match kind {
        Kind::DaemonSet => {
            annotations::set_annotations(&mut errors, &root.field("metadata"));
            workload::daemon_set_spec(&mut errors, &root.field("spec"));
        }
        Kind::ConfigMap => config::config_map(&mut errors, &root),
        Kind::Secret => config::secret(&mut errors, &root),
    }
    errors.found
}

/// Every rule a pod breaks; paths begin at the pod.
pub(super) fn validate_pod(pod: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let root = At::root(pod);
    let (metadata, spec) = (root.field("metadata"), root.field("spec"));
    meta::metadata(&mut errors, &metadata);
    let given = metadata.field("annotations");
    annotations::pod_annotations(&mut errors, &given, &spec, &given.path());
    pod::pod_spec(&mut errors, &spec, pod::Within::Pod);
    annotations::seccomp_agrees(&mut errors, &given, &spec);
    annotations::app_armor_agrees(&mut errors, &given, &spec);
    if !spec.field("nodeName").str().is_empty() && spec.field("schedulingGates").len() > 0 {
        let at = spec.field("nodeName");
        errors.forbidden(
            &at,
            "cannot be set while there are schedulingGates; remove the gates",
        );
    }
    errors.found
}
