//! Valid fields that no agent without a cluster around it can honour.
//!
//! They are named, never passed over: a set that has any is held, not half-run.

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use serde_json::Value;

use super::{Cause, FieldError};

/// The volume sources the agent can mount.
const MOUNTABLE: [&str; 7] = [
    "hostPath",
    "emptyDir",
    "configMap",
    "secret",
    "downwardAPI",
    "projected",
    "image",
];

/// Each such field of the pod spec, with why it cannot be honoured.
pub(super) fn fields(pod: &PodSpec) -> Vec<FieldError> {
    let mut found = Vec::new();
    let mut hold = |field: String, message: String| {
        let field = format!("spec.template.spec.{field}");
        found.push(FieldError::new(field, Cause::NotSupported, message));
    };
    for (index, volume) in pod.volumes.iter().flatten().enumerate() {
        of_volume(index, volume, &mut hold);
    }
    let any = |count: Option<usize>| count.is_some_and(|count| count > 0);
    if any(pod.resource_claims.as_ref().map(Vec::len)) {
        let message = "claims need a scheduler and a device driver; the agent allocates no devices";
        hold("resourceClaims".to_owned(), message.to_owned());
    }
    if any(pod.scheduling_gates.as_ref().map(Vec::len)) {
        let message = "there is no scheduler that would lift a gate; remove the gates";
        hold("schedulingGates".to_owned(), message.to_owned());
    }
    if pod.os.as_ref().is_some_and(|os| os.name == "windows") {
        hold("os".to_owned(), "the agent runs Linux pods only".to_owned());
    }
    found
}

fn of_volume(index: usize, volume: &Volume, hold: &mut impl FnMut(String, String)) {
    let value = serde_json::to_value(volume).unwrap_or_default();
    for source in value.as_object().into_iter().flat_map(|map| map.keys()) {
        if source != "name" && !MOUNTABLE.contains(&source.as_str()) {
            let mountable = MOUNTABLE.join(", ");
            let message =
                format!("needs a storage driver or an API server; the agent mounts {mountable}");
            hold(format!("volumes[{index}].{source}"), message);
        }
    }
    let sources = value
        .pointer("/projected/sources")
        .and_then(Value::as_array);
    for (place, source) in sources.into_iter().flatten().enumerate() {
        if source.get("serviceAccountToken").is_some() {
            let field = format!("volumes[{index}].projected.sources[{place}].serviceAccountToken");
            hold(
                field,
                "tokens are made by an API server; mount a Secret instead".to_owned(),
            );
        }
    }
}
