//! The plan as a function, compared as whole values, and under simulation.

mod backoff;
mod effect;
mod in_place;
mod order;
mod pod;
mod probes;
mod remains;
mod rollout;
mod simulation;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::api::{ContainerName, ObjectKey, PodKey, Revision, Uid};
use crate::model::{
    BackOff, ContainerId, ContainerState, DesiredPod, Goal, ImageState, ObservedContainer,
    ObservedPod, ObservedSandbox, PodMemory, PodRecord, References, SandboxId, SandboxState,
    VolumeState,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("in range")
}

fn key() -> PodKey {
    PodKey {
        namespace: "default".into(),
        name: "a-bbbbb".into(),
        uid: Uid::new("u1"),
    }
}

fn container(name: &str, restart_policy: Option<&str>) -> Container {
    Container {
        name: name.into(),
        image: Some(format!("{name}:1")),
        image_pull_policy: Some("IfNotPresent".into()),
        restart_policy: restart_policy.map(str::to_owned),
        ..Container::default()
    }
}

/// A pod of these init containers (name, restart policy) and main containers.
fn pod(goal: Goal, init: &[(&str, Option<&str>)], main: &[&str]) -> Arc<DesiredPod> {
    let spec = PodSpec {
        init_containers: Some(
            init.iter()
                .map(|(name, policy)| container(name, *policy))
                .collect(),
        ),
        containers: main.iter().map(|name| container(name, None)).collect(),
        termination_grace_period_seconds: Some(30),
        ..PodSpec::default()
    };
    let record = PodRecord {
        renewals: BTreeMap::default(),
        key: key(),
        set: ObjectKey::new("default", "a"),
        revision: Revision::new("r1"),
        pod: Pod {
            spec: Some(spec),
            ..Pod::default()
        },
        created_at: at(0),
        ending_since: (goal == Goal::End).then(|| at(0)),
        evicted: None,
    };
    Arc::new(DesiredPod {
        record: Arc::new(record),
        goal,
        references: Arc::default(),
        held: Vec::new(),
        ports: Vec::new(),
        back_off: BackOff::default(),
        look_at: None,
        term: None,
    })
}

fn present() -> ImageState {
    ImageState::Present {
        image_ref: "sha256:1".into(),
        uid: None,
        username: String::new(),
        at: at(0),
        stale: None,
        pulled: None,
    }
}

/// A memory in which volumes and the images of these containers are ready.
fn ready_memory(names: &[&str]) -> PodMemory {
    PodMemory {
        images: names
            .iter()
            .map(|name| (format!("{name}:1"), present()))
            .collect(),
        volumes: VolumeState::Prepared {
            paths: Arc::new(BTreeMap::new()),
            references: Arc::new(References::default()),
        },
        ..PodMemory::default()
    }
}

fn sandbox(attempt: u32, state: SandboxState) -> ObservedSandbox {
    ObservedSandbox {
        id: SandboxId(format!("s{attempt}")),
        attempt,
        state,
        created_at: at(0),
        ips: Vec::new(),
    }
}

fn observed(sandboxes: Vec<ObservedSandbox>, containers: Vec<ObservedContainer>) -> ObservedPod {
    ObservedPod {
        key: key(),
        set: ObjectKey::new("default", "a"),
        revision: Revision::new("r1"),
        state_dir: None,
        sandboxes,
        containers,
    }
}

fn have_container(name: &str, attempt: u32, state: ContainerState) -> ObservedContainer {
    ObservedContainer {
        id: ContainerId(format!("{name}-{attempt}")),
        name: ContainerName::new(name),
        attempt,
        sandbox: SandboxId("s0".into()),
        created_at: at(i64::from(attempt)),
        state,
        image: format!("{name}:1"),
        image_ref: "sha256:1".into(),
        backoff_level: attempt,
        image_stale: None,
        hash: String::new(),
        grace_seconds: Some(30),
    }
}

fn running() -> ContainerState {
    ContainerState::Running { started_at: at(0) }
}

fn exited(started: i64, finished: i64, exit_code: i32) -> ContainerState {
    ContainerState::Exited {
        started_at: at(started),
        finished_at: at(finished),
        exit_code,
        reason: if exit_code == 0 {
            "Completed".into()
        } else {
            "Error".into()
        },
        message: String::new(),
    }
}
