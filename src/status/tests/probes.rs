//! What probes make of a pod's and a set's status.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Probe;

use super::fixture::{at, container, node, pod, report, running, set};
use crate::model::{ContainerId, PodReport, ProbeResults, Reason, Verdict};
use crate::status::{daemonset_status, pod_status};

/// A pod whose container has a startup and a readiness probe that say this.
fn probed(results: Option<ProbeResults>) -> PodReport {
    let web = set("default", "web", "");
    let mut pod = pod(&web, "web-a", vec![container("main", 0, running(20))]);
    let record = Arc::make_mut(&mut Arc::make_mut(&mut pod.want).record);
    let spec = record.pod.spec.as_mut().expect("a specification");
    spec.containers[0].startup_probe = Some(Probe::default());
    spec.containers[0].readiness_probe = Some(Probe::default());
    let results = results.map(|results| (ContainerId("main0".to_owned()), results));
    pod.probes = Arc::new(results.into_iter().collect());
    pod
}

fn results(startup: Option<bool>, readiness: Option<bool>) -> Option<ProbeResults> {
    Some(ProbeResults {
        startup,
        readiness,
        changed_at: Some(at(40)),
        failed: None,
    })
}

/// `started` and `ready` of the container, and since when the pod is ready.
fn says(report: &PodReport) -> (bool, bool, Option<i64>) {
    let status = pod_status(report, &node(), at(60));
    let container = &status.container_statuses.expect("containers")[0];
    let mut conditions = status.conditions.into_iter().flatten();
    let ready = conditions.find(|c| c.type_ == "Ready").expect("Ready");
    let since = ready.last_transition_time.expect("a time").0;
    let since = since.duration_since(at(0)).as_secs();
    (
        container.started == Some(true),
        container.ready,
        (ready.status == "True").then_some(since),
    )
}

#[test]
fn a_container_is_started_and_ready_when_its_probes_say_so() {
    assert_eq!(says(&probed(None)), (false, false, None));
    assert_eq!(says(&probed(results(None, None))), (false, false, None));
    assert_eq!(
        says(&probed(results(Some(true), None))),
        (true, false, None)
    );
    let unready = probed(results(Some(true), Some(false)));
    assert_eq!(says(&unready), (true, false, None));
    let ready = probed(results(Some(true), Some(true)));
    assert_eq!(says(&ready), (true, true, Some(40)));
}

#[test]
fn a_set_is_available_so_long_after_its_pod_became_ready() {
    let ready = probed(results(Some(true), Some(true)));
    let web = set("default", "web", "");
    let mut object = web.object().clone();
    object.spec.as_mut().expect("a spec").min_ready_seconds = Some(15);
    let report = report(Verdict::Run, &[&ready]);
    let available = |now| {
        let status = daemonset_status(
            &object,
            web.revision(),
            &report,
            &[&ready],
            &node(),
            at(now),
        );
        (status.number_ready, status.number_available)
    };
    assert_eq!(available(50), (1, None));
    assert_eq!(available(55), (1, Some(1)));
}

#[test]
fn a_container_whose_hook_runs_is_being_made() {
    let mut pod = probed(None);
    let reason = Reason::new("ContainerCreating", "the postStart hook is being run");
    Arc::make_mut(&mut pod.plan)
        .reasons
        .push(reason.of_container("main"));
    let status = pod_status(&pod, &node(), at(60));
    let state = status.container_statuses.expect("containers")[0]
        .state
        .clone();
    let waiting = state.and_then(|state| state.waiting).expect("it waits");
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
}
