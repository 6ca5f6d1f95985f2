//! A DaemonSet: whom it selects, how many pods there are, and what they are made of.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::containers::{self, Kind};
use super::page::{NONE, Page, pairs};
use super::{pod, volumes};

/// Writes everything but the events.
pub(super) fn write(set: &DaemonSet, page: &mut Page) {
    let (meta, spec) = (&set.metadata, set.spec.clone().unwrap_or_default());
    let status = set.status.clone().unwrap_or_default();
    let template = spec.template;
    let pod = template.spec.unwrap_or_default();
    page.field(0, "Name", meta.name.clone().unwrap_or_default());
    page.some(0, "Namespace", meta.namespace.as_deref());
    page.field(0, "Selector", selector(&spec.selector));
    let wanted = pairs(pod.node_selector.iter().flatten(), "=");
    page.field(
        0,
        "Node-Selector",
        if wanted.is_empty() {
            NONE.to_owned()
        } else {
            wanted.join(",")
        },
    );
    page.list(0, "Labels", pairs(meta.labels.iter().flatten(), "="));
    page.list(
        0,
        "Annotations",
        pairs(meta.annotations.iter().flatten(), ": "),
    );
    counts(&status, page);
    page.text(0, "Pod Template:");
    let labels = template.metadata.unwrap_or_default();
    page.list(1, "Labels", pairs(labels.labels.iter().flatten(), "="));
    if let Some(annotations) = labels
        .annotations
        .filter(|annotations| !annotations.is_empty())
    {
        page.list(1, "Annotations", pairs(&annotations, ": "));
    }
    page.some(1, "Service Account", pod.service_account_name.as_deref());
    let init = pod.init_containers.as_deref().unwrap_or_default();
    containers::write(1, "Init Containers", Kind::Init, init, None, page);
    containers::write(1, "Containers", Kind::Main, &pod.containers, None, page);
    volumes::write(1, pod.volumes.as_deref().unwrap_or_default(), page);
    page.some(1, "Priority Class Name", pod.priority_class_name.as_deref());
    page.list(1, "Node-Selectors", wanted);
    let tolerations = pod.tolerations.iter().flatten();
    page.list(1, "Tolerations", tolerations.map(pod::toleration).collect());
}

fn counts(status: &DaemonSetStatus, page: &mut Page) {
    for (label, count) in [
        (
            "Desired Number of Nodes Scheduled",
            status.desired_number_scheduled,
        ),
        (
            "Current Number of Nodes Scheduled",
            status.current_number_scheduled,
        ),
        (
            "Number of Nodes Scheduled with Up-to-date Pods",
            status.updated_number_scheduled.unwrap_or(0),
        ),
        (
            "Number of Nodes Scheduled with Available Pods",
            status.number_available.unwrap_or(0),
        ),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ] {
        page.text(0, format!("{label}: {count}"));
    }
}

fn selector(selector: &LabelSelector) -> String {
    let labels = pairs(selector.match_labels.iter().flatten(), "=").into_iter();
    let expressions = selector.match_expressions.iter().flatten().map(|term| {
        let values = term.values.clone().unwrap_or_default().join(",");
        match term.operator.as_str() {
            "Exists" => term.key.clone(),
            "DoesNotExist" => format!("!{}", term.key),
            operator => format!("{} {} ({values})", term.key, operator.to_lowercase()),
        }
    });
    let terms: Vec<_> = labels.chain(expressions).collect();
    if terms.is_empty() {
        NONE.to_owned()
    } else {
        terms.join(",")
    }
}
