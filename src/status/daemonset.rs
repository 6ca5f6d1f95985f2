//! The DaemonSet object and its status (`updateDaemonSetStatus` of the controller), for the one
//! node there is.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet as Object, DaemonSetStatus};

use super::pod_status;
use crate::api::Revision;
use crate::api::daemonset::DaemonSet;
use crate::model::time::later;
use crate::model::{ContainerState, NodeFacts, PodReport, SetReport};

/// The status of a DaemonSet of whose pods `pods` are the reports, oldest first.
#[must_use]
pub fn daemonset_status(
    object: &Object,
    revision: &Revision,
    report: &SetReport,
    pods: &[&PodReport],
    node: &NodeFacts,
    now: Timestamp,
) -> DaemonSetStatus {
    let mut status = DaemonSetStatus {
        observed_generation: Some(object.metadata.generation.unwrap_or(1)),
        ..DaemonSetStatus::default()
    };
    if !report.verdict.runs() {
        status.number_misscheduled = i32::from(!pods.is_empty());
        return status;
    }
    status.desired_number_scheduled = 1;
    let mut available = false;
    if let Some(oldest) = pods.first() {
        let wait = object
            .spec
            .as_ref()
            .and_then(|s| s.min_ready_seconds)
            .unwrap_or(0);
        let ready = ready_since(oldest, node, now);
        available = ready.is_some_and(|since| {
            later(
                since,
                Duration::from_secs(wait.max(0).unsigned_abs().into()),
            ) <= now
        });
        status.current_number_scheduled = 1;
        status.number_ready = i32::from(ready.is_some());
        status.updated_number_scheduled = number(oldest.want.record.revision == *revision);
    }
    status.number_available = number(available);
    status.number_unavailable = number(!available);
    status
}

/// The whole DaemonSet with its status.
#[must_use]
pub fn daemonset(
    set: &DaemonSet,
    report: &SetReport,
    pods: &[&PodReport],
    node: &NodeFacts,
    now: Timestamp,
) -> Object {
    let mut object = set.object().clone();
    object.metadata.generation.get_or_insert(1);
    object.status = Some(daemonset_status(
        &object,
        set.revision(),
        report,
        pods,
        node,
        now,
    ));
    object
}

/// Absent where it is 0, as the API server leaves it out.
fn number(holds: bool) -> Option<i32> {
    holds.then_some(1)
}

/// Since when a pod is ready, to the nanosecond: `minReadySeconds` count from here, and the
/// condition's own time is cut to the second.
#[must_use]
pub fn ready_since(report: &PodReport, node: &NodeFacts, now: Timestamp) -> Option<Timestamp> {
    let status = pod_status(report, node, now);
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|c| c.type_ == "Ready" && c.status == "True")?;
    let started = report.have.iter().flat_map(|have| &have.containers);
    let started = started.filter_map(|container| match container.state {
        ContainerState::Running { started_at } => Some(started_at),
        _ => None,
    });
    let probed = report.probes.values().filter_map(|probe| probe.changed_at);
    let changed = started.chain(probed).max();
    Some(changed.unwrap_or(report.want.record.created_at))
}
