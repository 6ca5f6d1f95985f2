//! The pod made of a DaemonSet's template.

use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};

use super::daemonset::DaemonSet;
use super::{FieldError, Uid};

#[allow(missing_docs)]
pub fn pod_from_template(
    _set: &DaemonSet,
    _node: &str,
    _name: &str,
    _uid: &Uid,
) -> Result<Pod, Vec<FieldError>> {
    Ok(Pod::default())
}

#[allow(missing_docs)]
pub fn daemon_tolerations(_spec: &PodSpec) -> Vec<Toleration> {
    Vec::new()
}
