//! Updates beyond stage and switch: surge, hold, pause, undo, restart, on delete.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::agent::SOON;
use crate::harness::containerd::{Container, run};
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("rollout::a_surge_overlaps", a_surge_overlaps);
    suite.together(
        "rollout::a_surge_with_one_port_is_refused",
        a_surge_with_one_port_is_refused,
    );
    suite.together(
        "rollout::a_surge_with_one_disk_is_refused",
        a_surge_with_one_disk_is_refused,
    );
    suite.together(
        "rollout::a_hold_waits_for_approve",
        a_hold_waits_for_approve,
    );
    suite.together("rollout::ports_in_use_are_named", ports_in_use_are_named);
    suite.together(
        "rollout::a_sandbox_that_fails_changes_nothing",
        a_sandbox_that_fails_changes_nothing,
    );
    suite.together("rollout::pause_and_resume", pause_and_resume);
    suite.together("rollout::history_and_undo", history_and_undo);
    suite.together("rollout::restart_is_a_revision", restart_is_a_revision);
    suite.together("rollout::on_delete_waits", on_delete_waits);
}

/// The set with another environment, and so another revision.
pub fn version<'a>(set: &Set<'a>, env: &'a [&'a str]) -> String {
    Set {
        container: env,
        ..set.clone()
    }
    .yaml()
}

pub const TWO: &[&str] = &["env: [{name: V, value: two}]"];
pub const THREE: &[&str] = &["env: [{name: V, value: three}]"];

/// Waits until a set's pod is another one, and returns its containers.
pub fn wait_replaced(agent: &Agent, set: &str, before: &[Container]) -> Vec<Container> {
    agent.wait_for(SOON, &format!("the pod of {set} is replaced"), || {
        let running = agent.running_of(set);
        if running.len() == before.len() && running.iter().all(|one| !before.contains(one)) {
            Ok(running)
        } else {
            Err(format!("{} run", running.len()))
        }
    })
}

/// Waits until `setlet status` says something.
pub fn wait_said(agent: &Agent, what: &str) {
    agent.wait_for(SOON, &format!("status says {what:?}"), || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains(what) {
            Ok(())
        } else {
            Err(status)
        }
    });
}

fn a_surge_overlaps(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "surge");
    let set = Set {
        spec: &[
            "minReadySeconds: 2",
            "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}",
        ],
        ..sleeper("surge")
    };
    agent.put("a.yaml", &set.yaml());
    let old = agent.wait_running("surge", 1);
    agent.put("a.yaml", &version(&set, TWO));
    agent.wait_running("surge", 2);
    let both_since = Instant::now();
    let new = agent.wait_running("surge", 1);
    let overlap = both_since.elapsed();
    assert_ne!(new[0].pod(), old[0].pod());
    assert!(overlap > Duration::from_millis(1500), "{overlap:?}");
    let status = agent.setlet(&["rollout", "status", "surge", "--timeout", "10s"]);
    assert!(status.contains("successfully rolled out"), "{status}");
}

fn a_surge_with_one_port_is_refused(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "clash");
    let set = Set {
        pod: &["hostNetwork: true"],
        container: &["ports: [{containerPort: 31997}]"],
        spec: &["updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"],
        ..sleeper("clash")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("clash", 1);
    let ports = ["ports: [{containerPort: 31997}]", TWO[0]];
    agent.put("a.yaml", &version(&set, &ports));
    wait_said(&agent, "HostPortConflict");
    wait_said(&agent, "31997/TCP");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("clash"), before);

    let other = ["ports: [{containerPort: 31998}]", TWO[0]];
    agent.put("a.yaml", &version(&set, &other));
    wait_replaced(&agent, "clash", &before);
}

fn a_surge_with_one_disk_is_refused(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "one-disk");
    let disk = agent.dir().join("disk");
    // A device like a loop device; nobody opens it.
    run(Command::new("mknod").arg(&disk).args(["b", "7", "200"]));
    let volumes = format!(
        "volumes: [{{name: disk, hostPath: {{path: {}, type: BlockDevice}}}}]",
        disk.display()
    );
    let mounts = "volumeMounts: [{name: disk, mountPath: /disk}]";
    let set = Set {
        pod: &[&volumes],
        container: &[mounts],
        spec: &["updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"],
        ..sleeper("disk")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("disk", 1);
    agent.put("a.yaml", &version(&set, &[mounts, TWO[0]]));
    wait_said(&agent, "HostPathConflict");
    wait_said(&agent, &format!("block device {}", disk.display()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("disk"), before);

    let reads = "volumeMounts: [{name: disk, mountPath: /disk, readOnly: true}]";
    agent.put("a.yaml", &version(&set, &[reads, TWO[0]]));
    wait_replaced(&agent, "disk", &before);
}

fn ports_in_use_are_named(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "ports");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("its address").port();
    let set = Set {
        pod: &["hostNetwork: true"],
        container: &["ports: [{containerPort: 31987}]"],
        ..sleeper("ports")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("ports", 1);
    let rival = Set {
        name: "rival",
        ..set.clone()
    };
    agent.put("b.yaml", &rival.yaml());
    wait_said(
        &agent,
        &format!(
            "host port 31987/TCP belongs to pod default/{}",
            before[0].pod()
        ),
    );
    let more = format!("ports: [{{containerPort: 31987}}, {{containerPort: {taken}}}]");
    agent.put("a.yaml", &version(&set, &[&more]));
    wait_said(
        &agent,
        &format!("host port {taken}/TCP is in use on this node"),
    );
    assert_eq!(agent.running_of("ports"), before);
    drop(listener);
    wait_replaced(&agent, "ports", &before);
    assert_eq!(agent.running_of("rival"), []);
    agent.remove("a.yaml");
    agent.wait_running("rival", 1);
}

fn a_sandbox_that_fails_changes_nothing(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "nosandbox");
    let set = sleeper("settled");
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("settled", 1);
    let sysctl = "securityContext: {sysctls: [{name: net.ipv4.ip_local_port_range, value: none}]}";
    let broken = Set {
        pod: &[sysctl],
        ..set.clone()
    };
    agent.put("a.yaml", &broken.yaml());
    wait_said(&agent, "FailedCreatePodSandBox");
    let events = agent.setlet(&["get", "events"]);
    assert!(events.contains("FailedCreatePodSandBox"), "{events}");
    assert_eq!(agent.running_of("settled"), before);
    agent.put("a.yaml", &version(&set, TWO));
    wait_replaced(&agent, "settled", &before);
}

fn a_hold_waits_for_approve(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "hold");
    let set = Set {
        annotations: &["setlet.dev/hold: 'true'"],
        ..sleeper("hold")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("hold", 1);
    let refused = agent.try_setlet(&["rollout", "approve", "hold"]);
    assert!(
        refused.stderr.contains("no update that waits"),
        "{refused:?}"
    );
    agent.put("a.yaml", &version(&set, TWO));
    wait_said(&agent, "setlet rollout approve default/hold");
    agent.kill9();
    agent.start();
    agent.ready();
    wait_said(&agent, "Held");
    assert_eq!(agent.running_of("hold"), before);
    agent.setlet(&["rollout", "approve", "hold"]);
    wait_replaced(&agent, "hold", &before);
    wait_said(&agent, "Overridden");
    // What is approved is one revision, not the next one.
    let second = agent.running_of("hold");
    agent.put("a.yaml", &version(&set, THREE));
    wait_said(&agent, "OverrideEnded");
    wait_said(&agent, "Held");
    assert_eq!(agent.running_of("hold"), second);
}

fn pause_and_resume(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "pause");
    let set = sleeper("pause");
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("pause", 1);
    let paused = Set {
        annotations: &["setlet.dev/paused: 'true'"],
        ..set.clone()
    };
    agent.put("a.yaml", &version(&paused, TWO));
    wait_said(&agent, "Paused");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("pause"), before);
    let again = agent.try_setlet(&["rollout", "pause", "pause"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("already paused"), "{again:?}");
    agent.setlet(&["rollout", "resume", "pause"]);
    wait_replaced(&agent, "pause", &before);
}

fn history_and_undo(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "undo");
    let set = sleeper("undo");
    agent.put("a.yaml", &set.yaml());
    let first = agent.wait_running("undo", 1);
    agent.put("a.yaml", &version(&set, TWO));
    let second = wait_replaced(&agent, "undo", &first);
    let history = agent.setlet(&["rollout", "history", "undo"]);
    let numbers: Vec<_> = history
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok())
        .collect();
    assert_eq!(numbers, [1, 2], "{history}");
    let whole = agent.setlet(&["rollout", "history", "undo", "--revision", "2"]);
    assert!(whole.contains("value: two"), "{whole}");

    agent.setlet(&["rollout", "undo", "undo"]);
    let third = wait_replaced(&agent, "undo", &second);
    wait_said(&agent, "Overridden");
    let of = |container: &Container| container.label("controller-revision-hash").to_owned();
    let revision = |pod: &str| {
        let path = format!("/api/v1/namespaces/default/pods/{pod}");
        let pod = agent.json(&path).expect("the pod");
        pod["metadata"]["labels"]["controller-revision-hash"].to_string()
    };
    let back = revision(third[0].pod());
    assert!(!back.is_empty() && of(&third[0]) == of(&first[0]));
    // It holds over a restart of the agent, until the file changes.
    agent.kill9();
    agent.start();
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("undo"), third);
    let revisions = agent
        .json("/apis/apps/v1/namespaces/default/controllerrevisions")
        .expect("the revisions");
    let mut numbers: Vec<_> = revisions["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["revision"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(2), Some(3)], "the old one got a new number");
    agent.put("a.yaml", &version(&set, THREE));
    wait_replaced(&agent, "undo", &third);
    wait_said(&agent, "OverrideEnded");
    let none = agent.try_setlet(&["rollout", "undo", "undo", "--to-revision", "77"]);
    assert!(
        none.stderr.contains("unable to find specified revision 77"),
        "{none:?}"
    );
}

fn restart_is_a_revision(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "restart");
    agent.put("a.yaml", &sleeper("again").yaml());
    let before = agent.wait_running("again", 1);
    let said = agent.setlet(&["rollout", "restart", "ds/again"]);
    assert_eq!(said, "daemonset.apps/again restarted\n");
    wait_replaced(&agent, "again", &before);
    let status = agent.setlet(&["rollout", "status", "again", "--timeout", "10s"]);
    assert!(status.contains("successfully rolled out"), "{status}");
}

fn on_delete_waits(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "ondelete");
    let set = Set {
        spec: &["updateStrategy: {type: OnDelete}"],
        ..sleeper("delete")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("delete", 1);
    agent.put("a.yaml", &version(&set, TWO));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("delete"), before);
    let said = agent.setlet(&["delete", "pod", before[0].pod()]);
    assert_eq!(said, format!("pod \"{}\" deleted\n", before[0].pod()));
    let new = wait_replaced(&agent, "delete", &before);
    let env = agent
        .containerd()
        .ctr(&["tasks", "exec", "--exec-id", "e", &new[0].id, "env"]);
    assert!(env.contains("V=two"), "{env}");
    let none = agent.try_setlet(&["delete", "pod", "nobody"]);
    assert!(
        none.stderr.contains("pods \"nobody\" not found"),
        "{none:?}"
    );
}
