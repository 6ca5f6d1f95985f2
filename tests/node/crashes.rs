//! Containers and sandboxes that end by themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "crashes::are_restarted_at_once",
        a_crash_is_restarted_at_once,
    );
    suite.together(
        "crashes::of_init_containers_at_once",
        init_containers_at_once,
    );
    suite.together("crashes::further_ones_back_off", further_crashes_back_off);
    suite.together(
        "crashes::a_killed_sandbox_is_made_anew",
        a_killed_sandbox_is_made_anew,
    );
}

fn a_crash_is_restarted_at_once(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "crash");
    agent.put("a.yaml", &sleeper("crash").yaml());
    let first = agent.wait_running("crash", 1).remove(0);
    kill(first.pid.expect("a process"));
    agent.wait_for(
        Duration::from_secs(5),
        "another container runs in the same sandbox",
        || {
            let running = agent.running_of("crash");
            match running.first() {
                Some(second) if second.id != first.id && second.pod() == first.pod() => Ok(()),
                _ => Err(format!("{running:?}")),
            }
        },
    );
    agent.wait_for(SOON, "the restart is counted", || {
        let pods = agent.setlet(&["get", "pods"]);
        let mut lines = pods.lines();
        if lines.any(|line| line.starts_with("crash-") && line.contains("1 (")) {
            Ok(())
        } else {
            Err(pods)
        }
    });
}

fn further_crashes_back_off(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "backoff");
    agent.put(
        "a.yaml",
        &Set {
            script: "exit 3",
            ..sleeper("fails")
        }
        .yaml(),
    );
    agent.wait_for(SOON, "the back-off is shown with its container", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("CrashLoopBackOff") {
            Ok(())
        } else {
            Err(status)
        }
    });
    let explained = agent.setlet(&["explain", "fails"]);
    assert!(
        explained.contains("back-off 10s restarting failed container=main"),
        "{explained}"
    );
    let pods = agent.json("/api/v1/pods").expect("the pods");
    let container = &pods["items"][0]["status"]["containerStatuses"][0];
    assert_eq!(
        container["lastState"]["terminated"]["exitCode"], 3,
        "{container}"
    );
}

fn a_killed_sandbox_is_made_anew(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "sandbox");
    agent.put("a.yaml", &sleeper("boxed").yaml());
    let before = agent.wait_running("boxed", 1).remove(0);
    let sandbox = agent.containers().into_iter().find(Container::is_sandbox);
    kill(
        sandbox
            .and_then(|sandbox| sandbox.pid)
            .expect("a pause process"),
    );
    agent.wait_for(SOON, "another container runs in the same pod", || {
        let running = agent.running_of("boxed");
        match running.as_slice() {
            [after] if after.id != before.id && after.pod() == before.pod() => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a process id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kill a process");
}

/// Init containers that end before their start is answered are not taken to run.
fn init_containers_at_once(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "crash-init");
    agent.ready();
    let one = |n: usize| {
        format!(
            "{{name: i{n}, image: docker.io/library/busybox:latest, imagePullPolicy: IfNotPresent, \
             command: [/bin/true]}}"
        )
    };
    let all: Vec<_> = (0..12).map(one).collect();
    let line = format!("initContainers: [{}]", all.join(", "));
    let set = Set {
        pod: &["hostNetwork: true", &line],
        ..sleeper("quick")
    };
    for round in 0..2 {
        let word = format!("echo round{round}");
        agent.put("a.yaml", &set.yaml().replace("echo up", &word));
        agent.wait_for(SOON * 2, "the pod runs", || {
            let running = agent.running_of("quick");
            let log = running.first().map(|one| agent.container_log(one));
            match log {
                Some(log) if log.contains(&word[5..]) => Ok(()),
                log => Err(format!("{log:?}; {}", agent.setlet(&["status"]))),
            }
        });
    }
}
