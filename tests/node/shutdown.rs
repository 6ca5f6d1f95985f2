//! Trials of the machine's end: pods stop in the order of sets, keep what they are, and come back.
//! Said by SIGPWR here; where systemd runs the machine, the agent asks it when told to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// A script that takes two seconds to end, and one that does not end when it is asked.
const SLOW: &str = "trap 'sleep 2; exit 0' TERM; echo up; while :; do sleep 1; done";
const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 1; done";

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("shutdown::in_reverse_order", in_reverse_order);
    suite.together("shutdown::within_its_time", within_its_time);
    suite.together("shutdown::not_when_it_is_off", not_when_it_is_off);
    suite.together("shutdown::not_without_a_runtime", not_without_a_runtime);
}

fn is_up(container: &Container) -> bool {
    container.pid.is_some()
}

/// The one container of each set, once it runs and the agent knows.
fn all_up(agent: &Agent, sets: &[&str]) -> Vec<Container> {
    let up = sets.iter().map(|set| agent.wait_running(set, 1).remove(0));
    let up = up.collect();
    agent.ready();
    up
}

fn in_reverse_order(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "shutdown-order");
    agent.put("base.yaml", &sleeper("base").yaml());
    let middle = Set {
        script: SLOW,
        annotations: &["setlet.dev/after: base"],
        ..sleeper("middle")
    };
    agent.put("middle.yaml", &middle.yaml());
    let top = Set {
        script: SLOW,
        annotations: &["setlet.dev/after: middle"],
        pod: &["hostNetwork: true"],
        ..sleeper("top")
    };
    agent.put("top.yaml", &top.yaml());
    let waits = Set {
        annotations: &["setlet.dev/after: 'path:/nowhere/at/all'"],
        ..sleeper("waits")
    };
    agent.put("waits.yaml", &waits.yaml());
    let names = ["base", "middle", "top"];
    let before = all_up(&agent, &names);
    let kept = agent.wait_for(SOON, "each set has its pod", || {
        let kept = records(&agent);
        if kept.len() == 4 {
            Ok(kept)
        } else {
            Err(format!("{kept:?}"))
        }
    });

    agent.signal(Signal::SIGPWR);
    let start = Instant::now();
    let mut said = false;
    while agent.running() {
        let up = names.map(|set| !agent.running_of(set).is_empty());
        assert!(up[1] || !up[2], "middle stopped before top: {up:?}");
        assert!(up[0] || !up[1], "base stopped before middle: {up:?}");
        let status = agent.try_setlet(&["status"]).stdout;
        said |= status.contains("NodeShutdown")
            && status.contains("it ends when default/top has ended");
        assert!(start.elapsed() < SOON, "{}", agent.log_tail());
    }
    assert!(start.elapsed() > Duration::from_secs(4), "each its time");
    assert!(said, "status names the order");
    assert!(!agent.containers().iter().any(is_up), "nothing runs");
    assert_eq!(
        records(&agent),
        kept,
        "nothing is forgotten, nothing is made"
    );

    agent.start();
    let after = all_up(&agent, &names);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.pod(), after.pod(), "the same pod");
        assert_ne!(before.id, after.id, "in another container");
    }
    let pods = agent.json("/api/v1/pods").expect("pods");
    for pod in pods["items"].as_array().expect("a list") {
        let status = &pod["status"]["containerStatuses"][0];
        if status["state"]["running"].is_object() {
            assert_eq!(status["restartCount"], 1, "{status}\n{}", agent.log_tail());
        }
    }
}

/// The names of the pods that the agent has on record.
fn records(agent: &Agent) -> Vec<String> {
    let directory = agent.dir().join("state/records");
    let entries = std::fs::read_dir(directory).expect("the records");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn within_its_time(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "shutdown-time");
    agent.config["shutdownGracePeriod"] = Value::from("4s");
    agent.start();
    let base = Set {
        script: DEAF,
        ..sleeper("base")
    };
    let long = |set: &Set| {
        let yaml = set.yaml();
        let grace = "terminationGracePeriodSeconds: ";
        yaml.replace(&format!("{grace}5"), &format!("{grace}600"))
    };
    agent.put("base.yaml", &long(&base));
    let top = Set {
        script: DEAF,
        annotations: &["setlet.dev/after: base"],
        ..sleeper("top")
    };
    agent.put("top.yaml", &long(&top));
    all_up(&agent, &["base", "top"]);
    let (status, took) = agent.end_by(Signal::SIGPWR);
    assert!(status.success(), "{}", agent.log_tail());
    let least = Duration::from_secs(4);
    assert!(took >= least && took < least * 4, "{took:?}");
    assert!(
        !agent.containers().iter().any(is_up),
        "{}",
        agent.log_tail()
    );
}

fn not_when_it_is_off(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "shutdown-off");
    agent.config["shutdownGracePeriod"] = Value::from("0s");
    agent.start();
    agent.put("a.yaml", &sleeper("stays").yaml());
    let before = all_up(&agent, &["stays"]);
    let (status, took) = agent.end_by(Signal::SIGPWR);
    assert!(
        status.success() && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(agent.running_of("stays"), before);
}

fn not_without_a_runtime(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "shutdown-lost");
    let lost = agent.dir().join("no.sock");
    agent.config["containerRuntimeEndpoint"] = Value::from(format!("unix://{}", lost.display()));
    agent.put("a.yaml", &sleeper("held").yaml());
    agent.start();
    agent.wait_for(SOON, "the runtime is missed", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("no.sock") {
            Ok(())
        } else {
            Err(status)
        }
    });
    let (status, took) = agent.end_by(Signal::SIGPWR);
    assert!(
        status.success() && took < Duration::from_secs(5),
        "{took:?}"
    );
}
