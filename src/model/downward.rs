//! Fields of a pod as its containers see them: `fieldRef` and `resourceFieldRef`, for environment
//! variables and downwardAPI volumes alike.
//!
//! Follows kubelet v1.36's `podFieldSelectorRuntimeValue`, `fieldpath` and
//! `resource.ExtractContainerResourceValue`: a missing limit is the node's allocatable, a missing
//! request 0, and every division rounds up.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceFieldSelector};

use crate::model::resources::{Side, amounts};
use crate::model::{Amount, NodeFacts};

/// The value of a `fieldRef`, with the pod's addresses; none for a path no pod has.
#[must_use]
pub fn field(pod: &Pod, path: &str, node: &NodeFacts, ips: &[String]) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|s| s.host_network).unwrap_or(false);
    let host_ips = || node.addresses.iter().map(ToString::to_string);
    let pod_ips: Vec<String> = if host_network && ips.is_empty() {
        host_ips().collect()
    } else {
        ips.to_vec()
    };
    Some(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|s| s.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" => host_ips().next().unwrap_or_default(),
        "status.hostIPs" => host_ips().collect::<Vec<_>>().join(","),
        "status.podIP" => pod_ips.into_iter().next().unwrap_or_default(),
        "status.podIPs" => pod_ips.join(","),
        _ => {
            let (map, key) = subscript(path)?;
            let map = match map {
                "metadata.labels" => meta.labels.as_ref(),
                "metadata.annotations" => meta.annotations.as_ref(),
                _ => return None,
            };
            map.and_then(|m| m.get(key)).cloned().unwrap_or_default()
        }
    })
}

/// The value of a `resourceFieldRef`, of the container it names or else of `own`; none where that
/// container or resource is not there.
#[must_use]
pub fn resource(
    spec: &PodSpec,
    own: Option<&str>,
    selector: &ResourceFieldSelector,
    node: &NodeFacts,
) -> Option<String> {
    let name = selector
        .container_name
        .as_deref()
        .filter(|n| !n.is_empty())
        .or(own)?;
    let container = find_container(spec, name)?;
    let (side, resource) = selector.resource.split_once('.')?;
    let amount = match side {
        "limits" => limit(spec, container, resource, node),
        "requests" => amounts(container.resources.as_ref(), Side::Requests)
            .get(resource)
            .cloned()
            .unwrap_or_default(),
        _ => return None,
    };
    let divisor = selector
        .divisor
        .as_ref()
        .map(Amount::of)
        .filter(|d| !d.is_zero())
        .unwrap_or(Amount::whole(1));
    let (amount, divisor) = match resource {
        "cpu" => (amount.milli_value(), divisor.milli_value()),
        _ => (amount.value(), divisor.value()),
    };
    Some(divide_up(amount, divisor).to_string())
}

/// A container or init container by name.
#[must_use]
pub fn find_container<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .find(|c| c.name == name)
}

/// A container's limit: its own, or what the node lets pods use.
fn limit(spec: &PodSpec, container: &Container, resource: &str, node: &NodeFacts) -> Amount {
    let own = amounts(container.resources.as_ref(), Side::Limits);
    let of_pod = amounts(spec.resources.as_ref(), Side::Limits);
    let written = own.get(resource).or_else(|| of_pod.get(resource)).cloned();
    written
        .filter(|a| !a.is_zero())
        .unwrap_or_else(|| match resource {
            "cpu" => Amount::millis(node.allocatable_cpu_millis),
            "memory" => Amount::whole(node.allocatable_memory_bytes),
            "ephemeral-storage" => Amount::whole(node.ephemeral_storage_bytes),
            _ => Amount::default(),
        })
}

fn divide_up(amount: i64, divisor: i64) -> i64 {
    let divisor = divisor.max(1);
    amount / divisor + i64::from(amount % divisor > 0)
}

/// `a.b['key']` as `a.b` and `key`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, rest))
}

/// A map as lines of `key="value"` in key order, the value quoted as Go's `%q`.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    map.into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", quote(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Text quoted as Go's `%q` does: printable characters as they are, others escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            ' ' => quoted.push(' '),
            c if c.is_control() || c.is_whitespace() => {
                let code = c as u32;
                // Writing to a String cannot fail.
                let _ = if code < 0x80 {
                    write!(quoted, "\\x{code:02x}")
                } else if code < 0x1_0000 {
                    write!(quoted, "\\u{code:04x}")
                } else {
                    write!(quoted, "\\U{code:08x}")
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
