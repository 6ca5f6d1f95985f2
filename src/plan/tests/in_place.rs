//! Which updates a running pod can take over, what then restarts, and which pods clash on ports.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{at, have_container, observed, pod, ready_memory, running, sandbox};
use crate::api::ContainerName;
use crate::model::{Action, DesiredPod, Goal, PodMemory, PodRecord, Renewal, SandboxState};
use crate::plan::in_place::{is_renewable, renewed};
use crate::plan::plan_pod;
use crate::plan::ports::clash;

fn record(spec: &Value) -> Arc<PodRecord> {
    DesiredPod::of_test(spec.clone(), &[]).record
}

fn spec() -> Value {
    json!({
        "initContainers": [{"name": "init", "image": "i"}],
        "containers": [
            {"name": "a", "image": "a:1", "resources": {"limits": {"memory": "10Mi"}}},
            {"name": "b", "image": "b:1"},
        ],
    })
}

/// The specification with one value changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut spec = spec();
    let (parent, key) = pointer.rsplit_once('/').expect("a path");
    let parent = spec.pointer_mut(parent).expect("a place");
    match parent {
        Value::Array(items) => items[key.parse::<usize>().expect("a number")] = value,
        parent => parent[key] = value,
    }
    spec
}

#[test]
fn images_environment_resources_and_commands_may_change_and_nothing_else() {
    let renewable = |after: &Value| is_renewable(&record(&spec()), &record(after));
    assert!(renewable(&with("/containers/0/image", json!("a:2"))));
    assert!(renewable(&with(
        "/containers/1/env",
        json!([{"name": "X", "value": "1"}])
    )));
    assert!(renewable(&with("/containers/1/args", json!(["-v"]))));
    let resources = json!({"limits": {"memory": "20Mi"}});
    assert!(renewable(&with("/containers/0/resources", resources)));
    assert!(!renewable(&with("/containers/0/name", json!("other"))));
    assert!(!renewable(&with("/containers/0/workingDir", json!("/"))));
    assert!(!renewable(&with("/hostNetwork", json!(true))));
    assert!(
        !renewable(&with("/initContainers/0/image", json!("i:2"))),
        "it has run"
    );
    let amounts = json!({"memory": "10Mi", "cpu": "1"});
    let guaranteed = json!({"limits": amounts, "requests": amounts});
    let one = |resources: Value| {
        let container = json!({"name": "a", "image": "a:1", "resources": resources});
        record(&json!({"containers": [container]}))
    };
    let (before, after) = (one(json!({})), one(guaranteed));
    assert!(
        !is_renewable(&before, &after),
        "another QoS class is another cgroup"
    );
}

#[test]
fn only_what_changed_is_renewed() {
    let containers = vec![
        have_container("a", 3, running()),
        have_container("b", 0, running()),
    ];
    let have = observed(vec![sandbox(0, SandboxState::Ready)], containers);
    let mut after = with(
        "/containers/0/resources",
        json!({"limits": {"memory": "20Mi"}}),
    );
    after["containers"][1]["image"] = json!("b:2");
    let record_of = renewed(&record(&spec()), &record(&after), Some(&have));
    let expected = [
        (
            ContainerName::new("a"),
            Renewal {
                upto: 3,
                restart: false,
                resize: true,
            },
        ),
        (
            ContainerName::new("b"),
            Renewal {
                upto: 0,
                restart: true,
                resize: false,
            },
        ),
    ];
    assert_eq!(record_of.renewals, expected.into());
    assert_eq!(record_of.pod.spec, record(&after).pod.spec);
    // Again, before anything came of it: what was asked for is still asked for.
    let back = renewed(&record_of, &record(&spec()), Some(&have));
    let b = &back.renewals[&ContainerName::new("b")];
    assert!(b.restart && !b.resize);
}

#[test]
fn ports_clash_by_number_protocol_and_address() {
    let pod = |ports: Value, host: bool| -> k8s_openapi::api::core::v1::PodSpec {
        let spec = json!({"hostNetwork": host, "containers": [{"name": "c", "ports": ports}]});
        serde_json::from_value(spec).expect("a specification")
    };
    let http = pod(json!([{"containerPort": 80, "hostPort": 8080}]), false);
    let said = |one, other| clash(one, other).map(|port| port.to_string());
    assert_eq!(said(&http, &http), Some("8080/TCP".to_owned()));
    let on_host = pod(json!([{"containerPort": 8080}]), true);
    assert_eq!(said(&on_host, &http), Some("8080/TCP".to_owned()));
    let inside = pod(json!([{"containerPort": 8080}]), false);
    assert_eq!(said(&inside, &http), None);
    let udp = pod(json!([{"containerPort": 8080, "protocol": "UDP"}]), true);
    assert_eq!(said(&udp, &http), None);
    let one = pod(
        json!([{"containerPort": 1, "hostPort": 8080, "hostIP": "10.0.0.1"}]),
        false,
    );
    let two = pod(
        json!([{"containerPort": 1, "hostPort": 8080, "hostIP": "10.0.0.2"}]),
        false,
    );
    assert_eq!(said(&one, &two), None);
    assert_eq!(said(&one, &http), Some("10.0.0.1:8080/TCP".to_owned()));
}

/// The actions for a pod of containers `a` and `b`, of which `a` is renewed up to an attempt.
fn planned(attempt: u32, renewal: Renewal, memory: &PodMemory) -> Vec<String> {
    let mut want = DesiredPod::clone(&pod(Goal::Run, &[], &["a", "b"]));
    let record = Arc::make_mut(&mut want.record);
    record.renewals = [(ContainerName::new("a"), renewal)].into();
    let containers = vec![
        have_container("a", attempt, running()),
        have_container("b", 0, running()),
    ];
    let have = observed(vec![sandbox(0, SandboxState::Ready)], containers);
    let plan = plan_pod(Some(&Arc::new(want)), Some(&have), memory, at(1));
    plan.actions.iter().map(Action::to_string).collect()
}

#[test]
fn a_renewed_container_is_stopped_once_the_next_image_is_there() {
    let renewal = Renewal {
        upto: 1,
        restart: true,
        resize: true,
    };
    let ready = ready_memory(&["a", "b"]);
    assert_eq!(planned(1, renewal, &ready), ["stop a (30 s)"]);
    let pulls = planned(1, renewal, &ready_memory(&["b"]));
    assert_eq!(pulls, ["ensure image a:1 (IfNotPresent)"]);
    assert!(
        planned(2, renewal, &ready).is_empty(),
        "made of the new one"
    );
}

#[test]
fn a_container_with_other_resources_is_resized_once() {
    let renewal = Renewal {
        upto: 1,
        restart: false,
        resize: true,
    };
    let mut memory = ready_memory(&["a", "b"]);
    assert_eq!(planned(1, renewal, &memory), ["resize container a"]);
    assert!(planned(2, renewal, &memory).is_empty());
    let id = have_container("a", 1, running()).id;
    memory.instances.entry(id).or_default().resized = true;
    assert!(planned(1, renewal, &memory).is_empty());
}
