//! Defaults of a pod spec in a template.

use serde_json::{Value, json};

use super::container::{self, round_resources};
use super::volume;
use super::{Fields, default, object, objects, text};

/// Fills in a pod spec as it is done for a template.
pub(in crate::api) fn apply(spec: &mut Fields) {
    default(spec, "dnsPolicy", || Value::from("ClusterFirst"));
    default(spec, "restartPolicy", || Value::from("Always"));
    default(spec, "securityContext", || json!({}));
    default(spec, "terminationGracePeriodSeconds", || Value::from(30));
    default(spec, "schedulerName", || Value::from("default-scheduler"));
    // Behind a gate that is off.
    spec.remove("schedulingGroup");
    mirror_service_account(spec);
    round_resources(spec, "overhead");
    if let Some(resources) = object(spec, "resources") {
        round_resources(resources, "limits");
        round_resources(resources, "requests");
    }
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        objects(spec, kind).for_each(container::apply);
    }
    objects(spec, "volumes").for_each(volume::apply);
}

/// The deprecated field and its successor say the same; the successor wins.
fn mirror_service_account(spec: &mut Fields) {
    let name = text(spec, "serviceAccountName").or_else(|| text(spec, "serviceAccount"));
    if let Some(name) = name.map(str::to_owned) {
        spec.insert("serviceAccountName".to_owned(), Value::from(name.as_str()));
        spec.insert("serviceAccount".to_owned(), Value::from(name));
    }
}
