//! Pods that use more of the disk than they may: evicted as by kubelet, and made again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Longer than the minute between two looks at volumes.
const A_LOOK: Duration = Duration::from_secs(80);

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("eviction::of_a_volume_over_its_limit", over_its_limit);
}

fn over_its_limit(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "eviction-volume");
    agent.ready();
    let limited = |name, script| Set {
        script,
        pod: &["volumes: [{name: tmp, emptyDir: {sizeLimit: 2Mi}}]"],
        container: &["volumeMounts: [{name: tmp, mountPath: /tmp}]"],
        ..sleeper(name)
    };
    let (fat, lean) = (
        "dd if=/dev/zero of=/tmp/a bs=1M count=3; sleep 1000",
        "dd if=/dev/zero of=/tmp/a bs=1M count=1; sleep 1000",
    );
    agent.put("fat.yaml", &limited("fat", fat).yaml());
    agent.put("lean.yaml", &limited("lean", lean).yaml());
    let before = agent.wait_running("fat", 1);
    let spared = agent.wait_running("lean", 1);

    let events = |agent: &Agent| -> Result<Vec<Value>, String> {
        let list = agent.json("/api/v1/events")?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    };
    let evicted = agent.wait_for(A_LOOK, "an eviction", || {
        let found = events(&agent)?
            .into_iter()
            .find(|event| event["reason"] == "Evicted");
        found.ok_or_else(|| "none".to_owned())
    });
    assert_eq!(
        evicted["message"],
        "Usage of EmptyDir volume \"tmp\" exceeds the limit \"2Mi\"."
    );
    let name = evicted["involvedObject"]["name"]
        .as_str()
        .unwrap_or_default();
    assert!(name.starts_with("fat-"), "{name}");
    agent.wait_for(Duration::from_secs(20), "another pod runs", || {
        let now = agent.running_of("fat");
        match now.as_slice() {
            [one]
                if one.label("io.kubernetes.pod.uid")
                    != before[0].label("io.kubernetes.pod.uid") =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    });
    let told = events(&agent).expect("events");
    assert!(
        told.iter()
            .any(|event| event["reason"] == "FailedDaemonPod"),
        "{told:#?}"
    );
    assert_eq!(agent.running_of("lean")[0].id, spared[0].id);
}
