//! The node: what it is, how it is, and the pods on it.

use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSystemInfo, Pod};

use super::page::{NONE, Page, pairs};

/// Writes everything but the events.
pub(super) fn write(node: &Node, pods: &[Pod], page: &mut Page) {
    let (meta, spec) = (&node.metadata, node.spec.clone().unwrap_or_default());
    let status = node.status.clone().unwrap_or_default();
    page.field(0, "Name", meta.name.clone().unwrap_or_default());
    let roles = meta.labels.iter().flatten();
    let roles = roles.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    let roles: Vec<&str> = roles.filter(|role| !role.is_empty()).collect();
    page.field(
        0,
        "Roles",
        if roles.is_empty() {
            NONE.to_owned()
        } else {
            roles.join(",")
        },
    );
    page.list(0, "Labels", pairs(meta.labels.iter().flatten(), "="));
    page.list(
        0,
        "Annotations",
        pairs(meta.annotations.iter().flatten(), ": "),
    );
    let taints = spec.taints.iter().flatten().map(|taint| {
        let value = taint.value.as_deref().map(|value| format!("={value}"));
        format!(
            "{}{}:{}",
            taint.key,
            value.unwrap_or_default(),
            taint.effect
        )
    });
    page.list(0, "Taints", taints.collect());
    page.field(
        0,
        "Unschedulable",
        spec.unschedulable.unwrap_or(false).to_string(),
    );
    conditions(status.conditions.as_deref().unwrap_or_default(), page);
    page.text(0, "Addresses:");
    for address in status.addresses.iter().flatten() {
        page.field(1, &address.type_, &*address.address);
    }
    for (label, amounts) in [
        ("Capacity", &status.capacity),
        ("Allocatable", &status.allocatable),
    ] {
        page.text(0, format!("{label}:"));
        for (name, amount) in amounts.iter().flatten() {
            page.field(1, name, &*amount.0);
        }
    }
    if let Some(system) = &status.node_info {
        self::system(system, page);
    }
    self::pods(pods, page);
}

fn conditions(conditions: &[NodeCondition], page: &mut Page) {
    page.text(0, "Conditions:");
    let head = ["Type", "Status", "Reason", "Message"];
    let mut rows: Vec<Vec<String>> = vec![
        head.map(str::to_owned).into(),
        head.map(|title| "-".repeat(title.len())).into(),
    ];
    rows.extend(conditions.iter().map(|condition| {
        vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone().unwrap_or_default(),
            condition.message.clone().unwrap_or_default(),
        ]
    }));
    page.table(1, &rows);
}

fn system(system: &NodeSystemInfo, page: &mut Page) {
    page.text(0, "System Info:");
    for (label, value) in [
        ("Machine ID", &system.machine_id),
        ("System UUID", &system.system_uuid),
        ("Boot ID", &system.boot_id),
        ("Kernel Version", &system.kernel_version),
        ("OS Image", &system.os_image),
        ("Operating System", &system.operating_system),
        ("Architecture", &system.architecture),
        (
            "Container Runtime Version",
            &system.container_runtime_version,
        ),
        ("Kubelet Version", &system.kubelet_version),
    ] {
        page.field(1, label, &**value);
    }
}

fn pods(pods: &[Pod], page: &mut Page) {
    page.text(0, format!("Pods:  ({} in total)", pods.len()));
    let head = ["Namespace", "Name", "Phase"];
    let mut rows: Vec<Vec<String>> = vec![
        head.map(str::to_owned).into(),
        head.map(|title| "-".repeat(title.len())).into(),
    ];
    rows.extend(pods.iter().map(|pod| {
        let status = pod.status.as_ref();
        vec![
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
            status
                .and_then(|status| status.phase.clone())
                .unwrap_or_default(),
        ]
    }));
    page.table(1, &rows);
}
