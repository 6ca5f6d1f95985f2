//! Pod statuses, whole where they differ whole.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{at, container, ending, exited, held, node, pod, running, set};
use crate::api::DaemonSet;
use crate::model::{ContainerState, PodReport, Reason};
use crate::status::pod_status;

const INIT: &str = "      initContainers:\n      - {name: once, image: busybox}\n      \
                    - {name: side, image: busybox, restartPolicy: Always}\n";

fn web() -> std::sync::Arc<DaemonSet> {
    set("default", "web", "")
}

fn status(report: &PodReport) -> Value {
    serde_json::to_value(pod_status(report, &node(), at(60))).expect("JSON")
}

/// The conditions as `Type=Status` and the reasons there are.
fn conditions(status: &Value) -> Vec<String> {
    let conditions = status["conditions"].as_array().expect("conditions");
    let text = |c: &Value| {
        let why = c["message"]
            .as_str()
            .map(|m| format!(" {m}"))
            .unwrap_or_default();
        format!(
            "{}={}{why}",
            c["type"].as_str().expect("text"),
            c["status"].as_str().expect("text")
        )
    };
    conditions.iter().map(text).collect()
}

#[test]
fn a_running_pod() {
    let report = pod(&web(), "web-a", vec![container("main", 0, running(20))]);
    let condition =
        |type_: &str, at: &str| json!({"type": type_, "status": "True", "lastTransitionTime": at});
    let expected = json!({
        "phase": "Running",
        "conditions": [
            condition("PodReadyToStartContainers", "2026-01-02T03:04:10Z"),
            condition("Initialized", "2026-01-02T03:04:05Z"),
            condition("Ready", "2026-01-02T03:04:25Z"),
            condition("ContainersReady", "2026-01-02T03:04:25Z"),
            condition("PodScheduled", "2026-01-02T03:04:05Z"),
        ],
        "hostIP": "192.0.2.17",
        "hostIPs": [{"ip": "192.0.2.17"}],
        "podIP": "10.0.0.5",
        "podIPs": [{"ip": "10.0.0.5"}],
        "qosClass": "BestEffort",
        "startTime": "2026-01-02T03:04:05Z",
        "containerStatuses": [{
            "name": "main",
            "image": "docker.io/library/busybox:latest",
            "imageID": "sha256:b",
            "containerID": "containerd://main0",
            "state": {"running": {"startedAt": "2026-01-02T03:04:25Z"}},
            "lastState": {},
            "ready": true,
            "started": true,
            "restartCount": 0,
        }],
    });
    assert_eq!(status(&report), expected);
}

#[test]
fn a_crash_loop_waits_and_shows_the_crash() {
    let message = "back-off 20s restarting failed container=main pod=web-a_default(uid-web-a)";
    let reason = Reason::new("CrashLoopBackOff", message)
        .of_container("main")
        .retried_at(at(70));
    let crashed = vec![
        container("main", 2, exited(1, 20, 30)),
        container("main", 1, exited(3, 15, 16)),
    ];
    let status = status(&held(pod(&web(), "web-a", crashed), vec![reason]));
    let expected = json!([{
        "name": "main",
        "image": "docker.io/library/busybox:latest",
        "imageID": "sha256:b",
        "containerID": "containerd://main2",
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}},
        "lastState": {"terminated": {
            "containerID": "containerd://main2",
            "exitCode": 1,
            "reason": "Error",
            "startedAt": "2026-01-02T03:04:25Z",
            "finishedAt": "2026-01-02T03:04:35Z",
        }},
        "ready": false,
        "started": false,
        "restartCount": 2,
    }]);
    assert_eq!(status["containerStatuses"], expected);
    assert_eq!(status["phase"], "Running");
    assert_eq!(
        conditions(&status)[2],
        "Ready=False containers with unready status: [main]"
    );
}

#[test]
fn a_pod_that_has_nothing_yet_is_pending() {
    let mut report = pod(&web(), "web-a", Vec::new());
    report.have = None;
    let status = status(&held(
        report,
        vec![Reason::new("FailedMount", "no such directory")],
    ));
    let expected = json!({
        "name": "main",
        "image": "busybox",
        "imageID": "",
        "state": {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {},
        "ready": false,
        "started": false,
        "restartCount": 0,
    });
    assert_eq!(status["containerStatuses"], json!([expected]));
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["message"], "FailedMount: no such directory");
    assert_eq!(status["podIP"], Value::Null);
    assert_eq!(
        conditions(&status),
        [
            "PodReadyToStartContainers=False",
            "Initialized=True",
            "Ready=False containers with unready status: [main]",
            "ContainersReady=False containers with unready status: [main]",
            "PodScheduled=True",
        ]
    );
}

#[test]
fn an_unknown_pod_is_unknown() {
    let mut report = pod(&web(), "web-a", Vec::new());
    report.have = None;
    report.observed = false;
    assert_eq!(status(&report)["phase"], "Unknown");
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let reason = Reason::new("ImagePullBackOff", "Back-off pulling image \"busybox\"");
    let status = status(&held(
        pod(&web(), "web-a", Vec::new()),
        vec![reason.of_container("main")],
    ));
    assert_eq!(
        status["containerStatuses"][0]["state"],
        json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"busybox\""}})
    );
    assert_eq!(status["phase"], "Pending");
}

#[test]
fn init_containers_go_first() {
    let set = set("default", "web", INIT);
    let first = status(&pod(&set, "web-a", vec![container("once", 0, running(20))]));
    assert_eq!(first["phase"], "Pending");
    assert_eq!(
        conditions(&first)[1],
        "Initialized=False containers with incomplete status: [once side]"
    );
    assert_eq!(
        first["containerStatuses"][0]["state"],
        json!({"waiting": {"reason": "PodInitializing"}})
    );
    let all = vec![
        container("once", 0, exited(0, 20, 21)),
        container("side", 0, running(22)),
        container("main", 0, running(23)),
    ];
    let done = status(&pod(&set, "web-a", all));
    assert_eq!(done["phase"], "Running");
    let ready = |status: &Value| (status["ready"].clone(), status["started"].clone());
    let init = done["initContainerStatuses"]
        .as_array()
        .expect("init containers");
    assert_eq!(ready(&init[0]), (json!(true), json!(false)));
    assert_eq!(ready(&init[1]), (json!(true), json!(true)));
    assert!(
        done["conditions"]
            .as_array()
            .expect("conditions")
            .iter()
            .all(|c| c["status"] == "True")
    );
}

#[test]
fn an_init_container_the_runtime_forgot_has_done_its_work() {
    let set = set("default", "web", INIT);
    let report = pod(&set, "web-a", vec![container("main", 0, running(23))]);
    let status = status(&report);
    let once = &status["initContainerStatuses"][0];
    assert_eq!(
        (&once["ready"], &once["state"]["terminated"]["exitCode"]),
        (&json!(true), &json!(0))
    );
}

#[test]
fn a_container_the_runtime_lost_is_terminated() {
    let report = pod(
        &web(),
        "web-a",
        vec![container("main", 0, ContainerState::Unknown)],
    );
    let status = status(&report);
    let ended = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&ended["reason"], &ended["exitCode"]),
        (&json!("ContainerStatusUnknown"), &json!(137))
    );
}

#[test]
fn on_the_host_network_the_addresses_are_the_nodes() {
    let set = set("default", "web", "      hostNetwork: true\n");
    assert_eq!(
        status(&pod(&set, "web-a", Vec::new()))["podIP"],
        "192.0.2.17"
    );
}

#[test]
fn an_ending_pod_has_the_time_of_its_end() {
    let report = ending(pod(
        &web(),
        "web-a",
        vec![container("main", 0, running(20))],
    ));
    let pod = crate::status::pod(&report, &node(), at(110));
    let meta = serde_json::to_value(&pod.metadata).expect("JSON");
    let expected = json!({
        "name": "web-a",
        "namespace": "default",
        "uid": "uid-web-a",
        "labels": {"app": "web"},
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "deletionTimestamp": "2026-01-02T03:06:15Z",
        "deletionGracePeriodSeconds": 30,
    });
    assert_eq!(meta, expected);
}

#[test]
fn a_grace_period_beyond_the_end_of_time_ends_with_it() {
    let spec = "      terminationGracePeriodSeconds: 260000000000\n";
    let report = ending(pod(&set("default", "web", spec), "web-a", Vec::new()));
    let pod = crate::status::pod(&report, &node(), at(110));
    let end = pod.metadata.deletion_timestamp.expect("an end");
    assert_eq!(end.0.to_string(), "9999-12-30T22:00:00Z");
}

#[test]
fn an_evicted_pod_has_failed() {
    let set = set("default", "web", "");
    let mut pod = ending(pod(&set, "web-a", vec![container("main", 0, running(10))]));
    let reason = Reason::new("Evicted", "Usage of EmptyDir volume");
    let want = Arc::make_mut(&mut pod.want);
    Arc::make_mut(&mut want.record).evicted = Some(reason);
    let object = crate::status::pod(&pod, &node(), at(100));
    assert_eq!(object.metadata.deletion_grace_period_seconds, Some(1));
    let status = object.status.expect("a status");
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
    assert_eq!(status.message.as_deref(), Some("Usage of EmptyDir volume"));
    let conditions = status.conditions.expect("conditions");
    let found = conditions.iter().find(|c| c.type_ == "DisruptionTarget");
    let reason = found.and_then(|c| c.reason.as_deref());
    assert_eq!(reason, Some("TerminationByKubelet"));
}
