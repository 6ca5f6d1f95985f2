//! A pod: what it is, how it is, its containers and volumes.

use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};

use super::containers::{self, Kind};
use super::page::{NONE, Page, moment, pairs};
use super::volumes;

/// Writes everything but the events.
pub(super) fn write(pod: &Pod, page: &mut Page) {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    head(pod, &status, page);
    for (title, kind, list, statuses) in [
        (
            "Init Containers",
            Kind::Init,
            spec.init_containers.as_deref().unwrap_or_default(),
            &status.init_container_statuses,
        ),
        (
            "Containers",
            Kind::Main,
            &spec.containers[..],
            &status.container_statuses,
        ),
    ] {
        let statuses = statuses.as_deref().unwrap_or_default();
        containers::write(0, title, kind, list, Some(statuses), page);
    }
    if let Some(conditions) = &status.conditions {
        page.text(0, "Conditions:");
        let mut rows = vec![vec!["Type".to_owned(), "Status".to_owned()]];
        rows.extend(
            conditions
                .iter()
                .map(|c| vec![c.type_.clone(), c.status.clone()]),
        );
        page.table(1, &rows);
    }
    volumes::write(0, spec.volumes.as_deref().unwrap_or_default(), page);
    page.some(0, "QoS Class", status.qos_class.as_deref());
    let selectors = spec.node_selector.unwrap_or_default();
    page.list(0, "Node-Selectors", pairs(&selectors, "="));
    let tolerations = spec.tolerations.iter().flatten();
    page.list(0, "Tolerations", tolerations.map(toleration).collect());
}

fn head(pod: &Pod, status: &PodStatus, page: &mut Page) {
    let (meta, spec) = (&pod.metadata, pod.spec.clone().unwrap_or_default());
    page.field(0, "Name", meta.name.clone().unwrap_or_default());
    page.field(0, "Namespace", meta.namespace.clone().unwrap_or_default());
    page.field(0, "Priority", spec.priority.unwrap_or(0).to_string());
    page.some(
        0,
        "Priority Class Name",
        spec.priority_class_name.as_deref(),
    );
    page.some(0, "Runtime Class Name", spec.runtime_class_name.as_deref());
    page.some(0, "Service Account", spec.service_account_name.as_deref());
    let node = spec.node_name.unwrap_or_default();
    let address = status
        .host_ip
        .as_deref()
        .map(|ip| format!("/{ip}"))
        .unwrap_or_default();
    page.field(0, "Node", format!("{node}{address}"));
    if let Some(start) = &status.start_time {
        page.field(0, "Start Time", moment(start));
    }
    page.list(0, "Labels", pairs(meta.labels.iter().flatten(), "="));
    page.list(
        0,
        "Annotations",
        pairs(meta.annotations.iter().flatten(), ": "),
    );
    match &meta.deletion_timestamp {
        Some(by) => {
            page.field(0, "Status", format!("Terminating (by {})", moment(by)));
            let grace = meta.deletion_grace_period_seconds.unwrap_or(0);
            page.field(0, "Termination Grace Period", format!("{grace}s"));
        }
        None => page.field(0, "Status", status.phase.clone().unwrap_or_default()),
    }
    page.some(0, "Reason", status.reason.as_deref());
    page.some(0, "Message", status.message.as_deref());
    page.field(0, "IP", status.pod_ip.clone().unwrap_or_default());
    let ips = status.pod_ips.as_deref().unwrap_or_default();
    if ips.is_empty() {
        page.field(0, "IPs", NONE);
    } else {
        page.text(0, "IPs:");
    }
    for ip in ips {
        page.field(1, "IP", &*ip.ip);
    }
    let owners = meta.owner_references.iter().flatten();
    for owner in owners.filter(|owner| owner.controller == Some(true)) {
        page.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
}

/// `key=value:Effect op=Exists for 300s`, as kubectl puts it.
pub(super) fn toleration(toleration: &Toleration) -> String {
    let mut text = toleration.key.clone().unwrap_or_default();
    if let Some(value) = toleration
        .value
        .as_deref()
        .filter(|value| !value.is_empty())
    {
        text.push_str(&format!("={value}"));
    }
    if let Some(effect) = toleration
        .effect
        .as_deref()
        .filter(|effect| !effect.is_empty())
    {
        text.push_str(&format!(":{effect}"));
    }
    if toleration.operator.as_deref() == Some("Exists")
        && toleration.value.as_deref().unwrap_or_default().is_empty()
    {
        text.push_str(if text.is_empty() {
            "op=Exists"
        } else {
            " op=Exists"
        });
    }
    if let Some(seconds) = toleration.toleration_seconds {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}
