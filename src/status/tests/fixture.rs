//! A node with sets and pods, made by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::api::{self, ContainerName, DaemonSet, Object, ObjectKey, Origin, PodKey, Uid};
use crate::model::{
    BackOff, ContainerId, ContainerState, DesiredPod, Goal, NodeFacts, NodeView, ObservedContainer,
    ObservedPod, ObservedSandbox, PodPlan, PodRecord, PodReport, Reason, References, SandboxId,
    SandboxState, SetReport, Snapshot, SourceCondition, Verdict,
};

/// `seconds` after the moment all fixtures begin at, 2026-01-02T03:04:05Z.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_045 + seconds).expect("a time")
}

pub(crate) fn node() -> NodeFacts {
    NodeFacts {
        name: "edge-17".to_owned(),
        hostname: "edge-17".to_owned(),
        labels: [
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/os", "linux"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into(),
        addresses: vec![IpAddr::from([192, 0, 2, 17])],
        cpus: 4,
        memory_bytes: 8 << 30,
        allocatable_memory_bytes: 7 << 30,
        allocatable_cpu_millis: 3900,
        ephemeral_storage_bytes: 100 << 30,
        ..NodeFacts::default()
    }
}

/// A set with one container `main` on the pod network, and what else the text says of its pod.
pub(crate) fn set(namespace: &str, name: &str, pod: &str) -> Arc<DaemonSet> {
    let text = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n      containers: [{{name: main, image: busybox}}]\n{pod}"
    );
    let mut admitted = api::admit("sets.yaml", text.as_bytes());
    match admitted.remove(0).map(|a| a.object) {
        Ok(Object::DaemonSet(set)) => set,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn container(name: &str, attempt: u32, state: ContainerState) -> ObservedContainer {
    ObservedContainer {
        id: ContainerId(format!("{name}{attempt}")),
        name: ContainerName::new(name),
        attempt,
        sandbox: SandboxId("sandbox".to_owned()),
        created_at: at(10 + i64::from(attempt)),
        state,
        image: "docker.io/library/busybox:latest".to_owned(),
        image_ref: "sha256:b".to_owned(),
        backoff_level: 0,
        image_stale: None,
        hash: String::new(),
        grace_seconds: Some(30),
    }
}

pub(crate) fn running(since: i64) -> ContainerState {
    ContainerState::Running {
        started_at: at(since),
    }
}

pub(crate) fn exited(code: i32, from: i64, to: i64) -> ContainerState {
    ContainerState::Exited {
        started_at: at(from),
        finished_at: at(to),
        exit_code: code,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: String::new(),
    }
}

/// A pod decided at 0 with a ready sandbox of 5 and these containers.
pub(crate) fn pod(set: &DaemonSet, name: &str, containers: Vec<ObservedContainer>) -> PodReport {
    let key = PodKey {
        namespace: set.key().namespace.clone(),
        name: name.to_owned(),
        uid: Uid::new(format!("uid-{name}")),
    };
    let mut object = Pod {
        metadata: set.template().metadata.clone().unwrap_or_default(),
        spec: Some(set.pod_spec().clone()),
        status: None,
    };
    if let Some(spec) = &mut object.spec {
        spec.node_name = Some("edge-17".to_owned());
    }
    let record = PodRecord {
        renewals: BTreeMap::default(),
        key: key.clone(),
        set: set.key().clone(),
        revision: set.revision().clone(),
        pod: object,
        created_at: at(0),
        ending_since: None,
        evicted: None,
    };
    let sandbox = ObservedSandbox {
        id: SandboxId("sandbox".to_owned()),
        attempt: 0,
        state: SandboxState::Ready,
        created_at: at(5),
        ips: vec!["10.0.0.5".to_owned()],
    };
    PodReport {
        want: Arc::new(DesiredPod {
            record: Arc::new(record),
            goal: Goal::Run,
            references: Arc::new(References::default()),
            held: Vec::new(),
            ports: Vec::new(),
            back_off: BackOff::default(),
            look_at: None,
            term: None,
        }),
        have: Some(Arc::new(ObservedPod {
            key,
            set: set.key().clone(),
            revision: set.revision().clone(),
            state_dir: None,
            sandboxes: vec![sandbox],
            containers,
        })),
        observed: true,
        looked_at: None,
        plan: Arc::new(PodPlan::default()),
        images: Arc::new(BTreeMap::new()),
        probes: Arc::default(),
    }
}

/// The same pod, held back.
pub(crate) fn held(mut pod: PodReport, reasons: Vec<Reason>) -> PodReport {
    pod.plan = Arc::new(PodPlan {
        reasons,
        ..PodPlan::default()
    });
    pod
}

/// The same pod, being ended since 100.
pub(crate) fn ending(mut pod: PodReport) -> PodReport {
    let want = Arc::make_mut(&mut pod.want);
    want.goal = Goal::End;
    Arc::make_mut(&mut want.record).ending_since = Some(at(100));
    pod
}

pub(crate) fn report(verdict: Verdict, pods: &[&PodReport]) -> SetReport {
    SetReport {
        rollout: None,
        verdict,
        rules: Vec::new(),
        pods: pods.iter().map(|pod| pod.want.key().uid.clone()).collect(),
        reasons: Vec::new(),
    }
}

/// A view of sets with their reports, and of pods.
pub(crate) fn view(sets: Vec<(Arc<DaemonSet>, SetReport)>, pods: Vec<PodReport>) -> NodeView {
    let origin = |line| Origin {
        file: "sets.yaml".to_owned(),
        document: 1,
        line,
    };
    let with_origin =
        |(set, _): &(Arc<DaemonSet>, _)| (set.key().clone(), (set.clone(), origin(1)));
    let snapshot = Snapshot {
        sets: sets.iter().map(with_origin).collect(),
        condition: SourceCondition::Ready,
        synced: true,
        ..Snapshot::default()
    };
    let sets: BTreeMap<ObjectKey, Arc<SetReport>> = sets
        .into_iter()
        .map(|(set, report)| (set.key().clone(), Arc::new(report)))
        .collect();
    NodeView {
        archives: Vec::new(),
        troubles: Vec::new(),
        unanswered: Vec::new(),
        version: 7,
        node: Arc::new(node()),
        snapshot: Arc::new(snapshot),
        sets,
        pods: pods
            .into_iter()
            .map(|pod| (pod.want.key().uid.clone(), pod))
            .collect(),
        runtime: None,
        network: None,
        runtime_version: "containerd://1.6.20".to_owned(),
        ready: true,
    }
}
