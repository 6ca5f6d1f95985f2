//! The Node object, as kubelet would register and update it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::time;
use crate::model::{NodeFacts, NodeView, Reason};

/// The number of pods a node says it can hold, kubelet's default.
const PODS: u32 = 110;

/// The node. `version` is what it reports as the kubelet's version.
///
/// Conditions of pressure are left out while nothing measures them.
#[must_use]
pub fn node(view: &NodeView, version: &str, now: Timestamp) -> Node {
    let facts = &view.node;
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            uid: Some(facts.name.clone()),
            labels: Some(facts.labels.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: taints(facts),
            unschedulable: facts.unschedulable.then_some(true),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            conditions: Some(vec![ready(view, now)]),
            capacity: Some(resources(facts, Amount::Capacity)),
            allocatable: Some(resources(facts, Amount::Allocatable)),
            addresses: Some(addresses(facts)),
            node_info: Some(system(view, version)),
            ..NodeStatus::default()
        }),
    }
}

fn taints(facts: &NodeFacts) -> Option<Vec<Taint>> {
    let taints = facts.taints.iter().map(|taint| Taint {
        key: taint.key.clone(),
        value: Some(taint.value.clone()).filter(|v| !v.is_empty()),
        effect: taint.effect.as_str().to_owned(),
        time_added: None,
    });
    let taints: Vec<_> = taints.collect();
    (!taints.is_empty()).then_some(taints)
}

fn ready(view: &NodeView, now: Timestamp) -> NodeCondition {
    let (status, reason, message) = match view.trouble() {
        // As kubelet words it, without the word of its own.
        Some(reason) if reason.word == Reason::NETWORK_NOT_READY => {
            ("False", "KubeletNotReady", reason.message.clone())
        }
        Some(reason) => ("False", "KubeletNotReady", reason.to_string()),
        None if !view.ready => (
            "False",
            "KubeletNotReady",
            "the manifests are not read yet".to_owned(),
        ),
        None => (
            "True",
            "KubeletReady",
            "setlet is posting ready status".to_owned(),
        ),
    };
    NodeCondition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(time(now)),
        last_transition_time: None,
    }
}

#[derive(Clone, Copy)]
enum Amount {
    Capacity,
    Allocatable,
}

fn resources(facts: &NodeFacts, amount: Amount) -> BTreeMap<String, Quantity> {
    let (cpu, memory) = match amount {
        Amount::Capacity => (facts.cpus * 1000, facts.memory_bytes),
        Amount::Allocatable => (facts.allocatable_cpu_millis, facts.allocatable_memory_bytes),
    };
    let cpu = if cpu % 1000 == 0 {
        (cpu / 1000).to_string()
    } else {
        format!("{cpu}m")
    };
    let mut resources = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu)),
        (
            "memory".to_owned(),
            Quantity(format!("{}Ki", memory / 1024)),
        ),
        (
            "ephemeral-storage".to_owned(),
            Quantity(format!("{}Ki", facts.ephemeral_storage_bytes / 1024)),
        ),
        ("pods".to_owned(), Quantity(PODS.to_string())),
    ]);
    for (size, count) in &facts.hugepages {
        let (name, total) = (bytes(*size), bytes(size * count));
        resources.insert(format!("hugepages-{name}"), Quantity(total));
    }
    resources
}

/// Bytes in the largest binary unit that divides them.
fn bytes(count: u64) -> String {
    for (shift, unit) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if count > 0 && count.is_multiple_of(1 << shift) {
            return format!("{}{unit}", count >> shift);
        }
    }
    count.to_string()
}

fn addresses(facts: &NodeFacts) -> Vec<NodeAddress> {
    let internal = facts
        .addresses
        .iter()
        .map(|a| ("InternalIP", a.to_string()));
    internal
        .chain([("Hostname", facts.hostname.clone())])
        .map(|(type_, address)| NodeAddress {
            type_: type_.to_owned(),
            address,
        })
        .collect()
}

fn system(view: &NodeView, version: &str) -> NodeSystemInfo {
    let facts = &view.node;
    let of = |key: &str| facts.system.get(key).cloned().unwrap_or_default();
    let label = |key: &str| facts.labels.get(key).cloned().unwrap_or_default();
    NodeSystemInfo {
        architecture: label("kubernetes.io/arch"),
        operating_system: label("kubernetes.io/os"),
        boot_id: of("bootID"),
        container_runtime_version: view.runtime_version.clone(),
        kernel_version: of("kernelVersion"),
        kubelet_version: version.to_owned(),
        kube_proxy_version: String::new(),
        machine_id: of("machineID"),
        os_image: of("osImage"),
        system_uuid: of("systemUUID"),
        swap: None,
    }
}
