//! Containers that cannot be started or are killed, and how that is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container, Containerd};
use crate::probes::status;
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("failures::a_command_that_is_not_there", no_command);
    suite.together("failures::too_much_memory_of_a_pod", too_much_memory);
    suite.together("failures::a_record_containerd_lost", a_lost_record);
    suite.together("failures::a_task_containerd_kept", a_kept_task);
}

fn wait_status(agent: &Agent, set: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    agent.wait_for(SOON, &format!("{set} is said to be so"), || {
        let status = status(agent, set)?;
        if is_it(&status) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
}

/// It is named, tried again with the back-off of crashes, and holds up nobody else.
fn no_command(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "failures-command");
    let yaml = sleeper("lost").yaml();
    agent.put(
        "a.yaml",
        &yaml.replace("command: [sh, -c,", "command: [/no/such, -c,"),
    );
    let told = wait_status(&agent, "lost", |status| {
        status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && status["restartCount"].as_u64() >= Some(1)
    });
    let last = &told["lastState"]["terminated"];
    assert_eq!(last["reason"], "StartError", "{told}");
    assert_eq!(last["exitCode"], 128, "{told}");
    let message = last["message"].as_str().unwrap_or_default();
    assert!(message.contains("/no/such"), "{message}");
    let explained = agent.setlet(&["explain", "lost"]);
    assert!(explained.contains("CrashLoopBackOff"), "{explained}");
    let begin = Instant::now();
    agent.put("b.yaml", &sleeper("fine").yaml());
    agent.wait_running("fine", 1);
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
}

/// The bounds of `spec.resources` are the pod's, for all its containers together.
fn too_much_memory(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "failures-memory");
    let set = Set {
        script: "trap 'exit 0' TERM; sleep 2; dd if=/dev/zero of=/dev/null bs=200M count=1",
        pod: &["resources: {limits: {cpu: 300m, memory: 48Mi}}"],
        ..sleeper("greedy")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("greedy", 1).remove(0);
    assert_eq!(pod_memory(&before), (48 << 20).to_string());
    let told = wait_status(&agent, "greedy", |status| {
        status["restartCount"].as_u64() >= Some(1) && status["state"]["running"].is_object()
    });
    let last = &told["lastState"]["terminated"];
    assert_eq!(last["reason"], "OOMKilled", "{told}");
    assert_eq!(last["exitCode"], 137, "{told}");
}

/// The memory limit of the pod's own cgroup, which is above that of its container.
fn pod_memory(container: &Container) -> String {
    let pid = container.pid.expect("a process");
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ => return None,
        };
        let pod = PathBuf::from(format!("{root}{path}")).parent()?.join(file);
        Some(std::fs::read_to_string(pod).ok()?.trim().to_owned())
    };
    cgroups.lines().find_map(of).expect("the pod's limit")
}

/// A container that was taken out of containerd behind the back of its CRI, which still lists it: the pod
/// goes on with another one, and ends.
fn a_lost_record(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "failures-lost");
    agent.ready();
    agent.put("a.yaml", &sleeper("gone").yaml());
    let before = agent.wait_running("gone", 1).remove(0);
    // CRI deletes the task that ended as well: whoever is second is told so, and it is gone.
    containerd.ctr(&["tasks", "kill", "--signal", "SIGKILL", &before.id]);
    agent.wait_for(SOON, "its record is taken away", || {
        containerd.try_ctr(&["containers", "rm", &before.id])
    });
    agent.wait_for(SOON, "another container runs", || {
        match agent.running_of("gone").first() {
            Some(one) if one.id != before.id => Ok(()),
            one => Err(format!("{one:?}")),
        }
    });
    agent.remove("a.yaml");
    agent.wait_empty();
    agent.wait_for(SOON, "the agent has forgotten it", || {
        let status = agent.setlet(&["status"]);
        if status.contains("gone-") {
            Err(status)
        } else {
            Ok(())
        }
    });
}

/// A task of an ended container that containerd's CRI does not know of, as a start that was cut off may
/// leave one: CRI refuses to remove the container, and the pod ends all the same.
fn a_kept_task(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "failures-kept");
    agent.ready();
    agent.put("a.yaml", &sleeper("kept").yaml());
    let before = agent.wait_running("kept", 1).remove(0);
    // The container ends and another follows; of the ended one there is no task then.
    containerd.ctr(&["tasks", "kill", "--signal", "SIGKILL", &before.id]);
    agent.wait_for(SOON, "another container runs", || {
        match agent.running_of("kept").first() {
            Some(one) if one.id != before.id => Ok(()),
            one => Err(format!("{one:?}")),
        }
    });
    agent.wait_for(SOON, "the ended container has a task again", || {
        containerd.try_ctr(&["tasks", "start", "--detach", "--null-io", &before.id])
    });
    agent.remove("a.yaml");
    agent.wait_empty();
}
