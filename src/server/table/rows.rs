//! The columns and cells of each resource (`pkg/printers/internalversion/printers.go`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Event, Namespace, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use serde_json::{Value, json};

use super::{Column, pod_line};
use crate::server::objects::{Item, Resource};
use crate::status::human_age;

const NONE: &str = "<none>";

/// The columns of events.
const EVENT: [Column; 10] = [
    ("Last Seen", "string", "", 0),
    ("Type", "string", "", 0),
    ("Reason", "string", "", 0),
    ("Object", "string", "", 0),
    ("Subobject", "string", "", 1),
    ("Source", "string", "", 1),
    ("Message", "string", "", 0),
    ("First Seen", "string", "", 1),
    ("Count", "string", "", 1),
    ("Name", "string", "name", 1),
];

/// The columns of a resource's table.
pub(super) fn columns(resource: Resource) -> &'static [Column] {
    match resource {
        Resource::DaemonSets => &[
            ("Name", "string", "name", 0),
            ("Desired", "integer", "", 0),
            ("Current", "integer", "", 0),
            ("Ready", "integer", "", 0),
            ("Up-to-date", "integer", "", 0),
            ("Available", "integer", "", 0),
            ("Node Selector", "string", "", 0),
            ("Age", "string", "", 0),
            ("Containers", "string", "", 1),
            ("Images", "string", "", 1),
            ("Selector", "string", "", 1),
        ],
        Resource::Pods => &[
            ("Name", "string", "name", 0),
            ("Ready", "string", "", 0),
            ("Status", "string", "", 0),
            ("Restarts", "string", "", 0),
            ("Age", "string", "", 0),
            ("IP", "string", "", 1),
            ("Node", "string", "", 1),
            ("Nominated Node", "string", "", 1),
            ("Readiness Gates", "string", "", 1),
        ],
        Resource::Nodes => &[
            ("Name", "string", "name", 0),
            ("Status", "string", "", 0),
            ("Roles", "string", "", 0),
            ("Age", "string", "", 0),
            ("Version", "string", "", 0),
            ("Internal-IP", "string", "", 1),
            ("External-IP", "string", "", 1),
            ("OS-Image", "string", "", 1),
            ("Kernel-Version", "string", "", 1),
            ("Container-Runtime", "string", "", 1),
        ],
        Resource::ControllerRevisions => &[
            ("Name", "string", "name", 0),
            ("Controller", "string", "", 0),
            ("Revision", "string", "", 0),
            ("Age", "string", "", 0),
        ],
        Resource::ConfigMaps => &[
            ("Name", "string", "name", 0),
            ("Data", "string", "", 0),
            ("Age", "string", "", 0),
        ],
        Resource::Events => &EVENT,
        Resource::Namespaces => &[
            ("Name", "string", "name", 0),
            ("Status", "string", "", 0),
            ("Age", "string", "", 0),
        ],
    }
}

/// The cells of one object's row.
pub(super) fn cells(item: &Item, now: Timestamp) -> Vec<Value> {
    match item {
        Item::DaemonSet(set) => daemonset(set, now),
        Item::Event(event) => self::event(event, now),
        Item::Pod(pod) => self::pod(pod, now),
        Item::Node(node) => self::node(node, now),
        Item::ConfigMap(map) => config_map(map, now),
        Item::ControllerRevision(revision) => self::revision(revision, now),
        Item::Namespace(namespace) => self::namespace(namespace, now),
    }
}

fn revision(revision: &ControllerRevision, now: Timestamp) -> Vec<Value> {
    let owners = revision.metadata.owner_references.iter().flatten();
    let mut owner = owners.map(|owner| format!("daemonset.apps/{}", owner.name));
    vec![
        name(&revision.metadata),
        owner.next().unwrap_or_else(|| NONE.to_owned()).into(),
        revision.revision.into(),
        age(&revision.metadata, now),
    ]
}

fn daemonset(set: &DaemonSet, now: Timestamp) -> Vec<Value> {
    let status = set.status.clone().unwrap_or_default();
    let spec = set.spec.as_ref();
    let pod = spec.and_then(|s| s.template.spec.as_ref());
    let containers = pod.map(|p| p.containers.as_slice()).unwrap_or_default();
    let joined = |text: fn(&Container) -> &str| -> String {
        containers.iter().map(text).collect::<Vec<_>>().join(",")
    };
    vec![
        name(&set.metadata),
        status.desired_number_scheduled.into(),
        status.current_number_scheduled.into(),
        status.number_ready.into(),
        status.updated_number_scheduled.unwrap_or(0).into(),
        status.number_available.unwrap_or(0).into(),
        pairs(pod.and_then(|p| p.node_selector.as_ref())).into(),
        age(&set.metadata, now),
        joined(|c| &c.name).into(),
        joined(|c| c.image.as_deref().unwrap_or_default()).into(),
        spec.map_or_else(|| NONE.to_owned(), |s| selector(&s.selector))
            .into(),
    ]
}

fn pod(pod: &Pod, now: Timestamp) -> Vec<Value> {
    let line = pod_line(pod);
    let restarts = match line.last_restart {
        Some(last) if line.restarts > 0 => {
            format!("{} ({} ago)", line.restarts, human_age(Some(last), now))
        }
        _ => line.restarts.to_string(),
    };
    let ip = pod.status.as_ref().and_then(|s| s.pod_ip.clone());
    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
    vec![
        name(&pod.metadata),
        format!("{}/{}", line.ready, line.total).into(),
        line.state.into(),
        restarts.into(),
        age(&pod.metadata, now),
        or_none(ip),
        or_none(node),
        NONE.into(),
        NONE.into(),
    ]
}

fn event(event: &Event, now: Timestamp) -> Vec<Value> {
    let involved = &event.involved_object;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let ago = |time: &Option<Time>| Value::from(human_age(time.as_ref().map(|t| t.0), now));
    let source = event.source.clone().unwrap_or_default();
    vec![
        ago(&event.last_timestamp),
        text(&event.type_).into(),
        text(&event.reason).into(),
        format!(
            "{}/{}",
            text(&involved.kind).to_lowercase(),
            text(&involved.name)
        )
        .into(),
        text(&involved.field_path).into(),
        format!("{}, {}", text(&source.component), text(&source.host)).into(),
        text(&event.message).trim().into(),
        ago(&event.first_timestamp),
        event.count.unwrap_or(1).into(),
        name(&event.metadata),
    ]
}

fn node(node: &Node, now: Timestamp) -> Vec<Value> {
    let status = node.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.any(|c| c.type_ == "Ready" && c.status == "True");
    let cordoned = node
        .spec
        .as_ref()
        .is_some_and(|s| s.unschedulable == Some(true));
    let roles = node.metadata.labels.iter().flatten();
    let roles: Vec<_> = roles
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    let address = |kind: &str| {
        let mut addresses = status.addresses.iter().flatten();
        or_none(
            addresses
                .find(|a| a.type_ == kind)
                .map(|a| a.address.clone()),
        )
    };
    let system = status.node_info.clone().unwrap_or_default();
    let state = if ready { "Ready" } else { "NotReady" };
    let kernel = format!("{} ({})", system.kernel_version, system.architecture);
    vec![
        name(&node.metadata),
        format!(
            "{state}{}",
            if cordoned { ",SchedulingDisabled" } else { "" }
        )
        .into(),
        or_none(Some(roles.join(","))),
        age(&node.metadata, now),
        system.kubelet_version.into(),
        address("InternalIP"),
        address("ExternalIP"),
        or_unknown(system.os_image),
        if system.kernel_version.is_empty() {
            or_unknown(String::new())
        } else {
            kernel.into()
        },
        or_unknown(system.container_runtime_version),
    ]
}

fn config_map(map: &ConfigMap, now: Timestamp) -> Vec<Value> {
    let text = map.data.as_ref().map_or(0, BTreeMap::len);
    let binary = map.binary_data.as_ref().map_or(0, BTreeMap::len);
    vec![
        name(&map.metadata),
        json!(text + binary),
        age(&map.metadata, now),
    ]
}

fn namespace(namespace: &Namespace, now: Timestamp) -> Vec<Value> {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.clone());
    vec![
        name(&namespace.metadata),
        or_none(phase),
        age(&namespace.metadata, now),
    ]
}

fn name(meta: &ObjectMeta) -> Value {
    meta.name.clone().unwrap_or_default().into()
}

fn age(meta: &ObjectMeta, now: Timestamp) -> Value {
    human_age(meta.creation_timestamp.as_ref().map(|t| t.0), now).into()
}

fn or_none(text: Option<String>) -> Value {
    text.filter(|t| !t.is_empty())
        .unwrap_or_else(|| NONE.to_owned())
        .into()
}

fn or_unknown(text: String) -> Value {
    if text.is_empty() {
        "<unknown>".into()
    } else {
        text.into()
    }
}

fn pairs(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    if pairs.is_empty() {
        NONE.to_owned()
    } else {
        pairs.join(",")
    }
}

fn selector(selector: &LabelSelector) -> String {
    let labels = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(k, v)| format!("{k}={v}"));
    let expressions = selector.match_expressions.iter().flatten().map(|e| {
        let values = e.values.clone().unwrap_or_default().join(",");
        match e.operator.as_str() {
            "Exists" => e.key.clone(),
            "DoesNotExist" => format!("!{}", e.key),
            operator => format!("{} {} ({values})", e.key, operator.to_lowercase()),
        }
    });
    let terms: Vec<_> = labels.chain(expressions).collect();
    if terms.is_empty() {
        NONE.to_owned()
    } else {
        terms.join(",")
    }
}
