//! The Pod object and its status (`generateAPIPodStatus` of kubelet).

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus};

use super::conditions::{Facts, conditions};
use super::container::{Role, any_main_started, container_status, init_containers};
use super::phase::phase;
use super::time;
use crate::model::resources::qos_class;
use crate::model::time::later;
use crate::model::{Goal, NodeFacts, PodReport};

/// The status of a pod as kubelet v1.36 computes it.
///
/// Differs: `message` says why a pod is held back as a whole, which kubelet tells by events only.
/// A pod of which the runtime could not be asked is in phase `Unknown`.
#[must_use]
pub fn pod_status(report: &PodReport, node: &NodeFacts, _now: Timestamp) -> PodStatus {
    let spec = report.want.spec();
    let roles: Vec<_> = init_containers(spec).map(|(_, role)| role).collect();
    let init: Vec<_> = init_containers(spec)
        .map(|(container, role)| container_status(report, container, role))
        .collect();
    let main: Vec<_> = spec
        .containers
        .iter()
        .map(|container| container_status(report, container, Role::Main))
        .collect();
    let init_roles: Vec<(Role, &ContainerStatus)> = roles.into_iter().zip(&init).collect();
    let any_main_started = any_main_started(report);
    let generation = report.want.record.pod.metadata.generation;
    let mut conditions = conditions(&Facts {
        report,
        init: &init_roles,
        main: &main,
        any_main_started,
        generation,
    });
    conditions.extend(disruption(report));
    let known = report.observed || report.have.is_some();
    let phase = if known {
        phase(&init_roles, &main, any_main_started)
    } else {
        "Unknown"
    };
    let evicted = report.want.record.evicted.as_ref();
    let phase = evicted.map_or(phase, |_| "Failed");
    let (host_ips, pod_ips) = addresses(report, node);
    PodStatus {
        phase: Some(phase.to_owned()),
        reason: evicted.map(|reason| reason.word.clone()),
        message: evicted.map_or_else(|| message(report), |reason| Some(reason.message.clone())),
        conditions: Some(conditions),
        host_ip: host_ips.first().cloned(),
        host_ips: list(&host_ips, |ip| HostIP { ip }),
        pod_ip: pod_ips.first().cloned(),
        pod_ips: list(&pod_ips, |ip| PodIP { ip }),
        qos_class: Some(qos_class(spec).as_str().to_owned()),
        start_time: Some(time(report.want.record.created_at)),
        observed_generation: generation,
        init_container_statuses: Some(init).filter(|i| !i.is_empty()),
        container_statuses: Some(main),
        ..PodStatus::default()
    }
}

/// The whole Pod: what was recorded, with its status; while it is being ended with the time by
/// which it will be gone.
#[must_use]
pub fn pod(report: &PodReport, node: &NodeFacts, now: Timestamp) -> Pod {
    let record = &report.want.record;
    let mut pod = record.pod.clone();
    let meta = &mut pod.metadata;
    meta.namespace = Some(record.key.namespace.clone());
    meta.name = Some(record.key.name.clone());
    meta.uid = Some(record.key.uid.as_str().to_owned());
    meta.creation_timestamp
        .get_or_insert_with(|| time(record.created_at));
    if report.want.goal == Goal::End {
        let of_spec = report.want.spec().termination_grace_period_seconds;
        let grace = match &record.evicted {
            Some(_) => 1,
            None => of_spec.unwrap_or(30).max(0),
        };
        let since = record.ending_since.unwrap_or(now);
        let end = later(since, Duration::from_secs(grace.unsigned_abs()));
        meta.deletion_timestamp = Some(time(end));
        meta.deletion_grace_period_seconds = Some(grace);
    }
    pod.status = Some(pod_status(report, node, now));
    pod
}

/// That the node ends the pod, where it does.
fn disruption(report: &PodReport) -> Option<PodCondition> {
    let record = &report.want.record;
    let reason = record.evicted.as_ref()?;
    Some(PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("TerminationByKubelet".to_owned()),
        message: Some(reason.message.clone()),
        last_transition_time: record.ending_since.map(time),
        observed_generation: record.pod.metadata.generation,
        ..PodCondition::default()
    })
}

/// Why the pod as a whole is held back; of one that ends, also why a container of it is still there.
fn message(report: &PodReport) -> Option<String> {
    let ends = report.want.goal == Goal::End;
    let reasons: Vec<_> = report
        .want
        .held
        .iter()
        .chain(&report.plan.reasons)
        .filter(|reason| ends || reason.container.is_none())
        .map(ToString::to_string)
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The addresses of the node and of the pod; on the host network they are the same.
fn addresses(report: &PodReport, node: &NodeFacts) -> (Vec<String>, Vec<String>) {
    let host: Vec<_> = node.addresses.iter().map(IpAddr::to_string).collect();
    if report.want.spec().host_network == Some(true) {
        return (host.clone(), host);
    }
    let sandbox = report.have.as_ref().and_then(|have| have.ready_sandbox());
    (host, sandbox.map(|s| s.ips.clone()).unwrap_or_default())
}

fn list<T>(ips: &[String], make: impl Fn(String) -> T) -> Option<Vec<T>> {
    (!ips.is_empty()).then(|| ips.iter().cloned().map(make).collect())
}
