//! Which container of which pod a request means, as kube-apiserver finds it
//! (pkg/registry/core/pod/strategy.go): named, or the only one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, PodSpec};

use super::failure::Failure;
use super::objects::Resource;
use crate::api::ObjectKey;
use crate::model::{NodeView, PodReport};
use crate::status;

/// The pod of a name.
pub(super) fn pod<'a>(view: &'a NodeView, key: &ObjectKey) -> Result<&'a PodReport, Failure> {
    view.pods
        .values()
        .find(|pod| pod.want.key().namespace == key.namespace && pod.want.key().name == key.name)
        .ok_or_else(|| Failure::no_object(Resource::Pods, &key.name))
}

/// The name of the container that is meant.
pub(super) fn name(report: &PodReport, wanted: Option<&str>) -> Result<String, Failure> {
    let pod = &report.want.key().name;
    let spec = report.want.spec();
    let all = names(spec);
    match (wanted, spec.containers.as_slice()) {
        (Some(name), _) if all.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => Err(Failure::bad_request(format!(
            "container {name} is not valid for pod {pod}"
        ))),
        (None, [only]) => Ok(only.name.clone()),
        (None, _) => Err(Failure::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// A container's state as the pod's status has it.
pub(super) fn state(
    view: &NodeView,
    report: &PodReport,
    name: &str,
    now: Timestamp,
) -> ContainerState {
    let status = status::pod_status(report, &view.node, now);
    let all = [status.container_statuses, status.init_container_statuses];
    let mut all = all.into_iter().flatten().flatten();
    let found = all.find(|status| status.name == name);
    found.and_then(|status| status.state).unwrap_or_default()
}

fn names(spec: &PodSpec) -> Vec<&str> {
    let init = spec.init_containers.iter().flatten();
    spec.containers
        .iter()
        .chain(init)
        .map(|c| c.name.as_str())
        .collect()
}
