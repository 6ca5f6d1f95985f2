//! Defaults that a pod gets when it is made, beyond those of its template.
//!
//! Requests from limits, the pod's own requests, host ports on the host's network, service links,
//! a grace period that is negative, and AppArmor profiles from annotations.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Fields, default, ensure, object, objects, text};
use crate::api::Quantity;
use crate::api::validate::{aggregate_limits, aggregate_requests, is_pod_level};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Fills in a pod whose spec has a template's defaults already.
pub(in crate::api) fn apply_pod(pod: &mut Value) {
    let annotations = pod
        .pointer("/metadata/annotations")
        .cloned()
        .unwrap_or_default();
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    default(spec, "enableServiceLinks", || Value::Bool(true));
    if spec
        .get("terminationGracePeriodSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|s| s < 0)
    {
        spec.insert("terminationGracePeriodSeconds".to_owned(), Value::from(1));
    }
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool) == Some(true);
    for kind in ["initContainers", "containers"] {
        for container in objects(spec, kind) {
            requests_from_limits(container);
            for port in objects(container, "ports").filter(|_| host_network) {
                let number = port.get("containerPort").cloned().unwrap_or_default();
                let unset = port
                    .get("hostPort")
                    .and_then(Value::as_i64)
                    .unwrap_or_default()
                    == 0;
                if unset {
                    port.insert("hostPort".to_owned(), number);
                }
            }
        }
    }
    pod_resources(spec);
    app_armor(spec, &annotations);
}

/// A container that is limited requests what it is limited to, unless it says otherwise.
fn requests_from_limits(container: &mut Fields) {
    let Some(resources) = object(container, "resources") else {
        return;
    };
    let Some(limits) = object(resources, "limits").cloned() else {
        return;
    };
    let requests = ensure(resources, "requests");
    for (name, limit) in limits {
        default(requests, &name, || limit);
    }
}

fn amounts(sums: BTreeMap<String, Quantity>) -> impl Iterator<Item = (String, Value)> {
    sums.into_iter()
        .map(|(name, sum)| (name, Value::from(sum.to_string())))
}

/// The pod's own limits on huge pages and its requests, where it has resources of its own.
fn pod_resources(spec: &mut Fields) {
    let whole = Value::Object(spec.clone());
    let Some(resources) = object(spec, "resources") else {
        return;
    };
    let has = |name: &str| {
        resources
            .get(name)
            .and_then(Value::as_object)
            .is_some_and(|m| !m.is_empty())
    };
    if has("limits") || has("requests") {
        for (name, sum) in amounts(aggregate_limits(&whole)) {
            if name.starts_with("hugepages-") {
                default(ensure(resources, "limits"), &name, || sum);
            }
        }
    }
    let limits: Map<String, Value> = match resources.get("limits") {
        Some(Value::Object(limits)) if !limits.is_empty() => limits.clone(),
        _ => return,
    };
    let requests = ensure(resources, "requests");
    for (name, sum) in amounts(aggregate_requests(&whole)) {
        if is_pod_level(&name) && !name.starts_with("hugepages-") {
            default(requests, &name, || sum);
        }
    }
    for (name, limit) in limits {
        if is_pod_level(&name) {
            default(requests, &name, || limit);
        }
    }
}

/// The AppArmor profile an annotation gives a container that has none of its own.
fn app_armor(spec: &mut Fields, annotations: &Value) {
    if spec
        .get("os")
        .and_then(|os| os.get("name"))
        .and_then(Value::as_str)
        == Some("windows")
    {
        return;
    }
    let context = spec.get("securityContext");
    let of_pod = context
        .and_then(|context| context.get("appArmorProfile"))
        .cloned();
    for kind in ["initContainers", "containers"] {
        for container in objects(spec, kind) {
            let key = format!("{APP_ARMOR}{}", text(container, "name").unwrap_or_default());
            let Some(annotation) = annotations.get(&key).and_then(Value::as_str) else {
                continue;
            };
            let profile = match annotation.strip_prefix("localhost/") {
                Some(name) if !name.is_empty() => {
                    json!({"type": "Localhost", "localhostProfile": name})
                }
                _ if annotation == "runtime/default" => json!({"type": "RuntimeDefault"}),
                _ if annotation == "unconfined" => json!({"type": "Unconfined"}),
                _ => continue,
            };
            let own = container
                .get("securityContext")
                .and_then(|c| c.get("appArmorProfile"));
            if own.is_none() && of_pod.as_ref() != Some(&profile) {
                ensure(container, "securityContext").insert("appArmorProfile".to_owned(), profile);
            }
        }
    }
}
