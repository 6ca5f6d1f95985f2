//! Tests of what is told of a pod, and of how it is added up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{Chronicle, event, expire, next_expiry, record, unwell};
use crate::api::ContainerName;
use crate::model::{
    Action, Answer, Check, ContainerId, DesiredPod, EventLog, Failure, ImageState, Involved, Note,
    Outcome, PodMemory, PodPlan, ProbeFailure, ProbeKind, ProbeResults, ProbeTarget, ProbeTiming,
    PullFigures, PullProgress, Reason, StopKind, StopTarget,
};
use crate::status::tests::fixture::at;

fn pod() -> Arc<DesiredPod> {
    let spec = json!({
        "initContainers": [{"name": "first", "image": "busybox"}],
        "containers": [{"name": "main", "image": "busybox"}],
    });
    Arc::new(DesiredPod::of_test(spec, &[]))
}

/// `field: type reason: message` of each.
fn lines(notes: Vec<Note>) -> Vec<String> {
    let line = |note: Note| {
        let (field, type_) = (&note.involved.field_path, note.event_type.as_str());
        format!("{field}: {type_} {}: {}", note.reason, note.message)
    };
    notes.into_iter().map(line).collect()
}

fn ensure(pod: &Arc<DesiredPod>) -> Action {
    Action::EnsureImage {
        pod: Arc::clone(pod),
        image: "busybox".to_owned(),
        policy: "Always".to_owned(),
        container: Some(ContainerName::new("main")),
    }
}

fn present(pulled: Option<PullFigures>) -> Outcome {
    Outcome::Image(ImageState::Present {
        image_ref: "sha256:1".to_owned(),
        uid: None,
        username: String::new(),
        at: at(0),
        stale: None,
        pulled,
    })
}

fn failed(word: &str, message: &str, times: u32) -> ImageState {
    ImageState::Failed(Failure {
        reason: Reason::new(word, message),
        times,
        last: at(i64::from(times)),
    })
}

#[test]
fn a_pull_is_told_of_once_at_each_end() {
    let (pod, mut told) = (pod(), Chronicle::default());
    let action = ensure(&pod);
    let pulling = |done| {
        let progress = PullProgress { done, total: 9 };
        Outcome::Image(ImageState::Pulling {
            since: at(0),
            progress,
        })
    };
    assert_eq!(
        lines(told.end(&pod, &action, &pulling(0), at(0))),
        ["spec.containers{main}: Normal Pulling: Pulling image \"busybox\""]
    );
    assert!(told.end(&pod, &action, &pulling(4), at(1)).is_empty());
    let pulled = PullFigures {
        took: Duration::from_millis(1_250),
        size: 77,
    };
    assert_eq!(
        lines(told.end(&pod, &action, &present(Some(pulled)), at(62))),
        [
            "spec.containers{main}: Normal Pulled: Successfully pulled image \"busybox\" in 1.25s \
             (1m2s including waiting). Image size: 77 bytes."
        ]
    );
    assert_eq!(
        lines(told.end(&pod, &action, &present(None), at(70))),
        [
            "spec.containers{main}: Normal Pulled: Container image \"busybox\" already present on \
             machine and can be accessed by the pod"
        ]
    );
}

#[test]
fn an_image_that_is_not_to_be_had() {
    let (pod, mut told) = (pod(), Chronicle::default());
    let mut tell = |word, message| {
        let outcome = Outcome::Image(failed(word, message, 1));
        lines(told.end(&pod, &ensure(&pod), &outcome, at(0)))
    };
    assert_eq!(
        tell("ErrImagePull", "not found"),
        [
            "spec.containers{main}: Warning Failed: Failed to pull image \"busybox\": not found",
            "spec.containers{main}: Warning Failed: Error: ErrImagePull",
        ]
    );
    assert_eq!(
        tell("ErrImageNeverPull", ""),
        [
            "spec.containers{main}: Warning ErrImageNeverPull: Container image \"busybox\" is not \
             present with pull policy of Never",
            "spec.containers{main}: Warning Failed: Error: ErrImageNeverPull",
        ]
    );
    assert_eq!(
        tell("InvalidImageName", "x")[0].split(": ").nth(1),
        Some("Warning InspectFailed")
    );
}

#[test]
fn each_wait_is_told_of_once() {
    let (pod, mut told) = (pod(), Chronicle::default());
    let crash = |until| PodPlan {
        reasons: vec![
            Reason::new("CrashLoopBackOff", "back-off 10s")
                .of_container("main")
                .retried_at(at(until)),
            Reason::new("PodInitializing", "waits").of_container("main"),
        ],
        ..PodPlan::default()
    };
    let mut memory = PodMemory::default();
    memory
        .images
        .insert("busybox".to_owned(), failed("ErrImagePull", "no", 1));
    let crashed = "spec.containers{main}: Warning BackOff: Back-off restarting failed container main \
                   in pod set-abcde_team(1-2)";
    assert_eq!(lines(told.wait(&pod, &crash(10), &memory)), [crashed]);
    assert!(told.wait(&pod, &crash(10), &memory).is_empty());
    assert_eq!(lines(told.wait(&pod, &crash(30), &memory)), [crashed]);

    memory
        .images
        .insert("busybox".to_owned(), failed("ErrImagePull", "no", 2));
    let pulls = [
        "spec.initContainers{first}: Normal BackOff: Back-off pulling image \"busybox\"",
        "spec.initContainers{first}: Warning Failed: Error: ImagePullBackOff",
    ];
    assert_eq!(lines(told.wait(&pod, &PodPlan::default(), &memory)), pulls);
    assert!(told.wait(&pod, &PodPlan::default(), &memory).is_empty());
    memory
        .images
        .insert("busybox".to_owned(), failed("ErrImagePull", "no", 3));
    assert_eq!(lines(told.wait(&pod, &PodPlan::default(), &memory)), pulls);
}

#[test]
fn stops_say_why_and_once() {
    let (pod, mut told) = (pod(), Chronicle::default());
    let stop = |id: &str, kind| Action::StopContainers {
        targets: vec![StopTarget {
            id: ContainerId(id.to_owned()),
            name: ContainerName::new("main"),
            timeout: Duration::from_secs(2),
            hook: None,
            kind,
        }],
    };
    let mut memory = PodMemory::default();
    let results = ProbeResults {
        failed: Some(ProbeFailure {
            kind: ProbeKind::Startup,
            message: "no".to_owned(),
        }),
        ..ProbeResults::default()
    };
    memory.probes = Arc::new([(ContainerId("a".to_owned()), results)].into());
    let mut begin = |id, kind| lines(told.begin(&pod, &stop(id, kind), &memory));
    let killing = "spec.containers{main}: Normal Killing:";
    assert_eq!(
        begin("a", StopKind::Unhealthy),
        [format!(
            "{killing} Container main failed startup probe, will be restarted"
        )]
    );
    assert_eq!(
        begin("b", StopKind::HookOnly),
        [format!("{killing} Stopping container main")]
    );
    assert!(begin("b", StopKind::Stop).is_empty());

    let unhooked = Outcome::Stopped(vec![ContainerName::new("main")]);
    assert_eq!(
        lines(told.end(&pod, &stop("b", StopKind::Stop), &unhooked, at(0))),
        ["spec.containers{main}: Warning FailedPreStopHook: PreStopHook failed"]
    );
}

#[test]
fn sandboxes_volumes_and_containers() {
    let (pod, mut told) = (pod(), Chronicle::default());
    let memory = PodMemory::default();
    let run = |attempt| Action::RunSandbox {
        pod: Arc::clone(&pod),
        attempt,
    };
    assert!(told.begin(&pod, &run(0), &memory).is_empty());
    assert_eq!(
        lines(told.begin(&pod, &run(1), &memory)),
        [": Normal SandboxChanged: Pod sandbox changed, it will be killed and re-created."]
    );
    assert!(told.begin(&pod, &run(1), &memory).is_empty());
    let refused = |why: &str| Outcome::Failed(Reason::new("X", why));
    assert_eq!(
        lines(told.end(&pod, &run(1), &refused("no"), at(0))),
        [": Warning FailedCreatePodSandBox: Failed to create pod sandbox: no"]
    );
    let prepare = Action::PrepareVolumes {
        pod: Arc::clone(&pod),
    };
    assert_eq!(
        lines(told.end(&pod, &prepare, &refused("not there"), at(0))),
        [": Warning FailedMount: not there"]
    );
    let start = Action::StartContainer {
        id: ContainerId("a".to_owned()),
        container: ContainerName::new("first"),
    };
    assert_eq!(
        lines(told.end(&pod, &start, &Outcome::Done, at(0))),
        ["spec.initContainers{first}: Normal Started: Container started"]
    );
    assert_eq!(
        lines(told.end(&pod, &start, &refused("no such file"), at(0))),
        ["spec.initContainers{first}: Warning Failed: Error: no such file"]
    );
}

#[test]
fn every_answer_of_a_probe_that_is_not_well() {
    let probe = ProbeTarget {
        id: ContainerId("a".to_owned()),
        container: ContainerName::new("main"),
        started_at: at(0),
        kind: ProbeKind::Liveness,
        check: Check::Tcp {
            host: None,
            port: 1,
        },
        timing: ProbeTiming {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            successes: 1,
            failures: 3,
        },
    };
    let tell = |answer| unwell(&pod(), &probe, &answer).map(|note| note.message);
    assert_eq!(tell(Answer::Success), None);
    assert_eq!(
        tell(Answer::Failure("no".into())).as_deref(),
        Some("Liveness probe failed: no")
    );
    assert_eq!(
        tell(Answer::Unknown("gone".into())).as_deref(),
        Some("Liveness probe errored and resulted in unknown state: gone")
    );
}

fn note(message: &str) -> Note {
    Note::warning(Involved::pod(pod().key()), "Failed", message)
}

fn tell(log: &mut EventLog, message: &str, now: Timestamp) {
    record(log, note(message), now, "u".to_owned());
}

#[test]
fn equal_ones_add_up_and_old_ones_go() {
    let mut log = EventLog::default();
    tell(&mut log, "a", at(0));
    tell(&mut log, "b", at(1));
    tell(&mut log, "a", at(2));
    let counts = |log: &EventLog| -> Vec<(String, u32)> {
        log.events
            .iter()
            .map(|e| (e.note.message.clone(), e.count))
            .collect()
    };
    assert_eq!(counts(&log), [("b".to_owned(), 1), ("a".to_owned(), 2)]);
    let object = event(&log.events[1], "edge-17");
    assert_eq!(object.first_timestamp.map(|t| t.0), Some(at(0)));
    assert_eq!(object.last_timestamp.map(|t| t.0), Some(at(2)));
    assert_eq!(object.count, Some(2));
    assert_eq!(
        object.source.and_then(|s| s.host).as_deref(),
        Some("edge-17")
    );

    assert_eq!(next_expiry(&log), Some(at(3_601)));
    assert!(!expire(&mut log, at(3_600)));
    assert!(expire(&mut log, at(3_601)));
    assert_eq!(counts(&log), [("a".to_owned(), 2)]);
    assert_eq!(log.version, 4);
}

#[test]
fn many_different_ones_become_one() {
    let mut log = EventLog::default();
    for number in 0..30 {
        tell(&mut log, &format!("message {number}"), at(number));
    }
    assert_eq!(log.events.len(), 10);
    let last = log.events.back().expect("events");
    assert_eq!(
        last.note.message,
        "(combined from similar events): message 29"
    );
    assert_eq!(last.count, 21);
    // Ten quiet minutes later they are told apart again.
    tell(&mut log, "message 30", at(29 + 600));
    assert_eq!(log.events.len(), 11);
}

#[test]
fn the_log_is_bounded() {
    let mut log = EventLog::default();
    for number in 0..1_100 {
        let mut note = note(&"é".repeat(1_000));
        note.involved.name = format!("pod-{number}");
        record(&mut log, note, at(number), "u".to_owned());
    }
    assert_eq!(log.events.len(), 1_000);
    assert!(
        log.events
            .iter()
            .all(|event| event.note.message.len() <= 1_024)
    );
    assert_eq!(log.events[0].note.involved.name, "pod-100");
}

#[test]
fn a_network_that_is_not_ready_is_no_sandbox_that_failed() {
    let pod = pod();
    let action = Action::RunSandbox {
        pod: Arc::clone(&pod),
        attempt: 0,
    };
    let told = |word| {
        let reason = Reason::new(word, "why");
        let outcome = Outcome::Failed(reason);
        lines(Chronicle::default().end(&pod, &action, &outcome, at(0)))
    };
    let waits = told(Reason::NETWORK_NOT_READY);
    assert_eq!(
        waits,
        [": Warning NetworkNotReady: network is not ready: why"]
    );
    let failed = told("FailedCreatePodSandBox");
    let expected = ": Warning FailedCreatePodSandBox: Failed to create pod sandbox: why";
    assert_eq!(failed, [expected]);
}
