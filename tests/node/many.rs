//! Many sets at once, and the manifests that people write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Agent, Containerd};
use crate::set::sleeper;
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.alone("many::fifty_sets_at_once", fifty_sets_at_once);
    suite.alone(
        "many::manifests_as_people_write_them",
        manifests_as_people_write_them,
    );
}

fn fifty_sets_at_once() {
    let containerd = Arc::new(Containerd::launch());
    let mut agent = Agent::new(&containerd, "fifty");
    let names: Vec<String> = (0..50).map(|n| format!("set-{n:02}")).collect();
    for name in &names {
        agent.put(&format!("{name}.yaml"), &sleeper(name).yaml());
    }
    agent.start();
    let count = |agent: &Agent| {
        let all = agent.containers();
        all.iter()
            .filter(|one| !one.is_sandbox() && one.pid.is_some())
            .count()
    };
    agent.wait_for(Duration::from_secs(120), "all fifty run", || {
        match count(&agent) {
            50 => Ok(()),
            some => Err(format!("{some} run")),
        }
    });
    for name in &names {
        assert_eq!(agent.running_of(name).len(), 1, "{name}");
    }
    for name in &names {
        agent.remove(&format!("{name}.yaml"));
    }
    agent.wait_for(
        Duration::from_secs(120),
        "all fifty are gone",
        || match agent.containers().len() {
            0 => Ok(()),
            some => Err(format!("{some} left")),
        },
    );
}

/// What becomes of each manifest on a node without labels, registry and the images of others:
/// it runs, or `explain` names what is missing.
const EXPECTED: [(&str, &str, &str); 21] = [
    ("01-simple-agent", "simple-agent", "runs"),
    (
        "02-worker-only-agent",
        "worker-only-agent",
        "node-role.kubernetes.io/worker",
    ),
    (
        "03-control-plane-agent",
        "kube-system/control-plane-agent",
        "runs",
    ),
    ("04-zone-agent", "zone-agent", "topology.kubernetes.io/zone"),
    ("05-privileged-agent", "monitoring/privileged-agent", "runs"),
    ("06-rolling-agent", "rolling-agent", "runs"),
    (
        "07-node-monitor",
        "node-monitor",
        "prometheus/node-exporter:latest",
    ),
    (
        "08-network-plugin",
        "network-plugin",
        "network-plugin:v1.2.3",
    ),
    (
        "09-dns-cache",
        "dns-cache",
        "k8s.gcr.io/dns/k8s-dns-node-cache:1.21.1",
    ),
    (
        "10-log-collector",
        "log-collector",
        "fluentd:v1.14-debian-1",
    ),
    (
        "11-metrics-exporter",
        "metrics-exporter",
        "prom/node-exporter:latest",
    ),
    (
        "12-storage-daemon",
        "storage-daemon",
        "\"ceph-config\" not found",
    ),
    (
        "13-production-agent",
        "production-agent",
        "production-agent:v2.1.0",
    ),
    ("14-dev-monitor", "dev-monitor", "dev-monitor:latest"),
    (
        "15-fluent-bit",
        "logging/fluent-bit",
        "\"fluent-bit-config\" not found",
    ),
    (
        "16-node-exporter",
        "monitoring/node-exporter",
        "prom/node-exporter:v1.3.1",
    ),
    (
        "17-kube-proxy",
        "kube-system/kube-proxy",
        "\"kube-proxy\" not found",
    ),
    (
        "18-security-agent",
        "security/security-agent",
        "security-agent:v2.1.0",
    ),
    ("19-fluentd", "kube-system/fluentd", "fluent/fluentd:v1.14"),
    (
        "20-monitoring-daemon",
        "monitoring-daemon",
        "my-monitoring-agent:latest",
    ),
    (
        "21-calico-node",
        "kube-system/calico-node",
        "calico/node:v3.25.0",
    ),
];

fn manifests_as_people_write_them() {
    let containerd = Arc::new(Containerd::launch());
    let agent = Agent::started(&containerd, "manifests");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    for (file, ..) in EXPECTED {
        let text = std::fs::read_to_string(directory.join(format!("{file}.yaml")));
        agent.put(
            &format!("{file}.yaml"),
            &text.expect("a manifest of the suite"),
        );
    }
    for (file, set, expected) in EXPECTED {
        let name = set.rsplit('/').next().expect("a name");
        agent.wait_for(
            Duration::from_secs(90),
            &format!("{file}: {expected}"),
            || {
                let explained = agent.try_setlet(&["explain", set]).stdout;
                let running = agent.running_of(name).len();
                let right = match expected {
                    "runs" => running == 1,
                    missing => running == 0 && explained.contains(missing),
                };
                if right {
                    Ok(())
                } else {
                    Err(format!("{running} run; {explained}"))
                }
            },
        );
    }
    let status = agent.setlet(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(
        status["refused"],
        serde_json::json!([]),
        "every manifest is admitted"
    );
}
