//! The Node object, whole.

use serde_json::{Value, json};

use super::fixture::{at, view};
use crate::model::{Reason, Taint, TaintEffect};
use crate::status::node;

#[test]
fn the_node_says_what_it_is_and_has() {
    let mut view = view(Vec::new(), Vec::new());
    let facts = std::sync::Arc::make_mut(&mut view.node);
    facts.unschedulable = true;
    facts.hugepages = [(2 << 20, 4)].into();
    facts.taints = vec![Taint {
        key: "dedicated".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    }];
    view.runtime = Some(Reason::new("RuntimeUnreachable", "no socket"));
    let found = serde_json::to_value(node(&view, "v1", at(0))).expect("JSON");
    assert_eq!(found, expected());
}

#[test]
fn a_node_without_a_network_for_pods_is_not_ready() {
    let mut view = view(Vec::new(), Vec::new());
    view.network = Some(Reason::new(Reason::NETWORK_NOT_READY, "no plugin"));
    let found = serde_json::to_value(node(&view, "v1", at(0))).expect("JSON");
    let condition = &found["status"]["conditions"][0];
    assert_eq!(condition["status"], "False");
    assert_eq!(condition["reason"], "KubeletNotReady");
    assert_eq!(condition["message"], "no plugin");
}

fn expected() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "edge-17",
            "uid": "edge-17",
            "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"},
        },
        "spec": {
            "taints": [{"key": "dedicated", "effect": "NoSchedule"}],
            "unschedulable": true,
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.17"},
                {"type": "Hostname", "address": "edge-17"},
            ],
            "capacity": {
                "cpu": "4",
                "memory": "8388608Ki",
                "ephemeral-storage": "104857600Ki",
                "hugepages-2Mi": "8Mi",
                "pods": "110",
            },
            "allocatable": {
                "cpu": "3900m",
                "memory": "7340032Ki",
                "ephemeral-storage": "104857600Ki",
                "hugepages-2Mi": "8Mi",
                "pods": "110",
            },
            "conditions": [{
                "type": "Ready",
                "status": "False",
                "reason": "KubeletNotReady",
                "message": "RuntimeUnreachable: no socket",
                "lastHeartbeatTime": "2026-01-02T03:04:05Z",
            }],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "bootID": "",
                "containerRuntimeVersion": "containerd://1.6.20",
                "kernelVersion": "",
                "kubeletVersion": "v1",
                "kubeProxyVersion": "",
                "machineID": "",
                "osImage": "",
                "systemUUID": "",
            },
        },
    })
}
