//! Pod conditions (`pkg/kubelet/status/generate.go`).
//!
//! kubelet keeps the time of each condition's last change; here it follows from the facts: the
//! sandbox's making, the last container's start or end, so that it survives a restart of the agent;
//! and a probe's last change, which does not.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};

use super::container::Role;
use super::time;
use crate::model::{PodReport, SandboxState};

/// What conditions are made of.
pub(super) struct Facts<'a> {
    pub report: &'a PodReport,
    pub init: &'a [(Role, &'a ContainerStatus)],
    pub main: &'a [ContainerStatus],
    pub any_main_started: bool,
    pub generation: Option<i64>,
}

/// All conditions, in kubelet's order.
pub(super) fn conditions(facts: &Facts<'_>) -> Vec<PodCondition> {
    let created = facts.report.want.record.created_at;
    let probed = facts.report.probes.values().filter_map(|p| p.changed_at);
    let ready_at = last_change(facts.main.iter().chain(sidecars(facts)))
        .into_iter()
        .chain(probed)
        .max()
        .unwrap_or(created);
    let incomplete = incomplete_init(facts);
    let initialized_at = match incomplete {
        None => last_change(
            facts
                .init
                .iter()
                .filter(|(r, _)| *r == Role::Init)
                .map(|(_, s)| *s),
        ),
        Some(_) => None,
    };
    let unready = unready_containers(facts);
    let (network, network_at) = network(facts.report);
    [
        (
            "PodReadyToStartContainers",
            network,
            None,
            network_at.unwrap_or(created),
        ),
        (
            "Initialized",
            incomplete.is_none(),
            incomplete.map(|names| {
                (
                    "ContainersNotInitialized",
                    format!("containers with incomplete status: [{names}]"),
                )
            }),
            initialized_at.unwrap_or(created),
        ),
        ("Ready", unready.is_none(), unready.clone(), ready_at),
        ("ContainersReady", unready.is_none(), unready, ready_at),
        ("PodScheduled", true, None, created),
    ]
    .into_iter()
    .map(|(type_, holds, why, at)| PodCondition {
        type_: type_.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: why.as_ref().map(|(word, _)| (*word).to_owned()),
        message: why.map(|(_, message)| message),
        last_probe_time: None,
        last_transition_time: Some(time(at)),
        observed_generation: facts.generation,
    })
    .collect()
}

fn sidecars<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = &'a ContainerStatus> {
    facts
        .init
        .iter()
        .filter(|(role, _)| *role == Role::Sidecar)
        .map(|(_, status)| *status)
}

/// Whether the newest sandbox is ready and has its addresses, and since when.
fn network(report: &PodReport) -> (bool, Option<Timestamp>) {
    let newest = report
        .have
        .iter()
        .flat_map(|have| &have.sandboxes)
        .max_by_key(|s| s.attempt);
    let host = report.want.spec().host_network == Some(true);
    match newest {
        Some(sandbox) => {
            let ready = sandbox.state == SandboxState::Ready && (host || !sandbox.ips.is_empty());
            (ready, Some(sandbox.created_at))
        }
        None => (false, None),
    }
}

/// The init containers that have not done their work, while no main container was started.
fn incomplete_init(facts: &Facts<'_>) -> Option<String> {
    if facts.any_main_started {
        return None;
    }
    let names: Vec<_> = facts
        .init
        .iter()
        .filter(|(role, status)| match role {
            Role::Sidecar => status.started != Some(true),
            Role::Init | Role::Main => !status.ready,
        })
        .map(|(_, status)| status.name.as_str())
        .collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn unready_containers(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    let names: Vec<_> = sidecars(facts)
        .chain(facts.main)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        let message = format!("containers with unready status: [{}]", names.join(" "));
        ("ContainersNotReady", message)
    })
}

/// The last start or end among containers.
fn last_change<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> Option<Timestamp> {
    statuses
        .flat_map(|status| [&status.state, &status.last_state])
        .flatten()
        .filter_map(|state| {
            let running = state.running.as_ref().and_then(|r| r.started_at.as_ref());
            let ended = state
                .terminated
                .as_ref()
                .and_then(|t| t.finished_at.as_ref());
            running.or(ended).map(|t| t.0)
        })
        .max()
}
