//! Defaults of a container: pull policy, probes, ports, resource amounts.

use serde_json::{Value, json};

use super::image::pull_policy;
use super::{Fields, default, object, objects, text};
use crate::api::quantity::Quantity;

/// Fills in a container.
pub(super) fn apply(container: &mut Fields) {
    default(container, "resources", || json!({}));
    default(container, "terminationMessagePath", || {
        Value::from("/dev/termination-log")
    });
    default(container, "terminationMessagePolicy", || {
        Value::from("File")
    });
    if !container.contains_key("imagePullPolicy") {
        let policy = pull_policy(text(container, "image").unwrap_or_default());
        container.insert("imagePullPolicy".to_owned(), Value::from(policy));
    }
    for port in objects(container, "ports") {
        default(port, "protocol", || Value::from("TCP"));
    }
    for variable in objects(container, "env") {
        if let Some(source) = object(variable, "valueFrom") {
            field_source(source);
            if let Some(file) = object(source, "fileKeyRef") {
                default(file, "optional", || Value::Bool(false));
            }
        }
    }
    if let Some(resources) = object(container, "resources") {
        round_resources(resources, "limits");
        round_resources(resources, "requests");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object(container, name) {
            apply_probe(probe);
        }
    }
    lifecycle(container);
}

/// Rounds the amounts in this map up to a thousandth.
pub(in crate::api) fn round_resources(fields: &mut Fields, name: &str) {
    for amount in object(fields, name)
        .into_iter()
        .flat_map(|map| map.values_mut())
    {
        if let Some(Ok(quantity)) = amount.as_str().map(Quantity::parse) {
            *amount = Value::String(quantity.rounded_to_milli().to_string());
        }
    }
}

/// Defaults of a reference to a field or to a resource, wherever it stands.
pub(super) fn field_source(source: &mut Fields) {
    if let Some(field) = object(source, "fieldRef") {
        default(field, "apiVersion", || Value::from("v1"));
    }
    if let Some(resource) = object(source, "resourceFieldRef") {
        default(resource, "divisor", || Value::from("0"));
    }
}

fn apply_probe(probe: &mut Fields) {
    default(probe, "timeoutSeconds", || Value::from(1));
    default(probe, "periodSeconds", || Value::from(10));
    default(probe, "successThreshold", || Value::from(1));
    default(probe, "failureThreshold", || Value::from(3));
    if let Some(http) = object(probe, "httpGet") {
        http_get(http);
    }
    if let Some(grpc) = object(probe, "grpc") {
        default(grpc, "service", || Value::from(""));
    }
}

fn http_get(http: &mut Fields) {
    default(http, "path", || Value::from("/"));
    default(http, "scheme", || Value::from("HTTP"));
}

/// Defaults of the hooks; `stopSignal` is behind a gate that is off, and is dropped.
fn lifecycle(container: &mut Fields) {
    let Some(lifecycle) = object(container, "lifecycle") else {
        return;
    };
    for hook in ["postStart", "preStop"] {
        if let Some(http) = object(lifecycle, hook).and_then(|hook| object(hook, "httpGet")) {
            http_get(http);
        }
    }
    if lifecycle.remove("stopSignal").is_some() && lifecycle.is_empty() {
        container.remove("lifecycle");
    }
}
