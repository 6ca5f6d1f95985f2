//! DaemonSet statuses, whole.

use k8s_openapi::api::apps::v1::DaemonSetStatus;

use super::fixture::{at, container, exited, node, pod, report, running, set};
use crate::api::{DaemonSet, Revision};
use crate::model::{PodReport, Verdict};
use crate::status::{daemonset, daemonset_status};

fn status(set: &DaemonSet, verdict: Verdict, pods: &[&PodReport], now: i64) -> DaemonSetStatus {
    let report = report(verdict, pods);
    daemonset_status(
        set.object(),
        set.revision(),
        &report,
        pods,
        &node(),
        at(now),
    )
}

fn empty() -> DaemonSetStatus {
    DaemonSetStatus {
        observed_generation: Some(1),
        ..DaemonSetStatus::default()
    }
}

#[test]
fn a_set_without_a_pod_wants_one() {
    let set = set("default", "web", "");
    let expected = DaemonSetStatus {
        desired_number_scheduled: 1,
        number_unavailable: Some(1),
        ..empty()
    };
    assert_eq!(status(&set, Verdict::Run, &[], 0), expected);
}

#[test]
fn a_running_pod_is_available_after_min_ready_seconds() {
    let set = set("default", "web", "  minReadySeconds: 10\n");
    let pod = pod(&set, "web-a", vec![container("main", 0, running(20))]);
    let early = DaemonSetStatus {
        desired_number_scheduled: 1,
        current_number_scheduled: 1,
        number_ready: 1,
        updated_number_scheduled: Some(1),
        number_unavailable: Some(1),
        ..empty()
    };
    assert_eq!(status(&set, Verdict::Run, &[&pod], 29), early);
    let late = DaemonSetStatus {
        number_available: Some(1),
        number_unavailable: None,
        ..early
    };
    assert_eq!(status(&set, Verdict::Run, &[&pod], 30), late);
}

#[test]
fn an_old_pod_that_ended_is_neither_updated_nor_ready() {
    let set = set("default", "web", "");
    let pod = pod(&set, "web-a", vec![container("main", 0, exited(1, 20, 25))]);
    let report = report(Verdict::Run, &[&pod]);
    let other = Revision::new("other");
    let expected = DaemonSetStatus {
        desired_number_scheduled: 1,
        current_number_scheduled: 1,
        number_unavailable: Some(1),
        ..empty()
    };
    let found = daemonset_status(set.object(), &other, &report, &[&pod], &node(), at(60));
    assert_eq!(found, expected);
}

#[test]
fn a_pod_where_none_belongs_is_misscheduled() {
    let set = set("default", "web", "");
    let pod = pod(&set, "web-a", vec![container("main", 0, running(20))]);
    let expected = DaemonSetStatus {
        number_misscheduled: 1,
        ..empty()
    };
    assert_eq!(
        status(&set, Verdict::Keep(Vec::new()), &[&pod], 60),
        expected
    );
    assert_eq!(status(&set, Verdict::Stop(Vec::new()), &[], 60), empty());
}

#[test]
fn the_object_is_the_manifest_with_generation_and_status() {
    let set = set("default", "web", "");
    let mut expected = set.object().clone();
    expected.metadata.generation = Some(1);
    expected.status = Some(status(&set, Verdict::Run, &[], 0));
    assert_eq!(
        daemonset(&set, &report(Verdict::Run, &[]), &[], &node(), at(0)),
        expected
    );
}
