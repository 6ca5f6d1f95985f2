//! What the agent survives: its own end in every way, the runtime's, and the machine's.

mod notes;

use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::foreign::{self, Recipe};
use crate::harness::{Agent, Container, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "survival::kill_nine_changes_nothing",
        kill_nine_changes_nothing,
    );
    suite.together("survival::term_drains_quickly", term_drains_quickly);
    suite.together(
        "survival::what_changed_meanwhile_is_done",
        what_changed_meanwhile_is_done,
    );
    suite.together("survival::a_lost_state_directory", a_lost_state_directory);
    suite.together(
        "survival::foreign_pods_are_left_alone",
        foreign_pods_are_left_alone,
    );
    suite.together(
        "survival::a_directory_that_vanishes",
        a_directory_that_vanishes,
    );
    suite.together("survival::killed_at_any_moment", killed_at_any_moment);
    suite.alone("survival::containerd_restarts", containerd_restarts);
    suite.alone("survival::containerd_is_late", containerd_is_late);
    suite.alone("survival::reboot", reboot);
    suite.alone(
        "survival::a_note_of_the_network_is_lost",
        notes::a_note_is_lost,
    );
}

/// Everything of the agent's, as ids and processes.
fn everything(agent: &Agent) -> Vec<(String, Option<u32>)> {
    agent
        .containers()
        .into_iter()
        .map(|one: Container| (one.id, one.pid))
        .collect()
}

/// Waits until the agent has looked at what runs, and a moment more for what it must not do.
fn settle(agent: &Agent) {
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
}

fn kill_nine_changes_nothing(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "killnine");
    agent.put("a.yaml", &sleeper("one").yaml());
    agent.put("b.yaml", &sleeper("two").yaml());
    agent.wait_running("one", 1);
    agent.wait_running("two", 1);
    let before = everything(&agent);
    for _ in 0..3 {
        agent.kill9();
        agent.start();
        settle(&agent);
        assert_eq!(everything(&agent), before);
    }
}

fn term_drains_quickly(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "term");
    agent.put("a.yaml", &sleeper("one").yaml());
    agent.wait_running("one", 1);
    let before = everything(&agent);
    let (status, took) = agent.term();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(everything(&agent), before);
}

fn what_changed_meanwhile_is_done(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "meanwhile");
    agent.put("goes.yaml", &sleeper("goes").yaml());
    agent.put("stays.yaml", &sleeper("stays").yaml());
    agent.put("breaks.yaml", &sleeper("breaks").yaml());
    agent.wait_running("goes", 1);
    let stays = agent.wait_running("stays", 1);
    let breaks = agent.wait_running("breaks", 1);
    agent.ready();
    agent.kill9();
    agent.remove("goes.yaml");
    agent.put("comes.yaml", &sleeper("comes").yaml());
    agent.put("breaks.yaml", "kind: DaemonSet\nmetadata: [");
    agent.start();
    agent.wait_running("goes", 0);
    agent.wait_running("comes", 1);
    assert_eq!(agent.running_of("stays"), stays);
    assert_eq!(
        agent.running_of("breaks"),
        breaks,
        "the last good object was on disk"
    );
    let status = agent.setlet(&["status"]);
    assert!(status.contains("breaks.yaml"), "{status}");
}

fn a_lost_state_directory(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "lost");
    agent.put("same.yaml", &sleeper("same").yaml());
    agent.put("other.yaml", &sleeper("other").yaml());
    let same = agent.wait_running("same", 1);
    let other = agent.wait_running("other", 1);
    agent.kill9();
    std::fs::remove_dir_all(agent.dir().join("state/records")).expect("remove the records");
    agent.put(
        "other.yaml",
        &Set {
            script: "sleep 1000",
            ..sleeper("other")
        }
        .yaml(),
    );
    agent.start();
    agent.wait_for(SOON, "the changed one is replaced", || {
        let running = agent.running_of("other");
        if running.len() == 1 && running != other {
            Ok(())
        } else {
            Err(format!("{running:?}"))
        }
    });
    assert_eq!(
        agent.running_of("same"),
        same,
        "what matches its set is adopted"
    );
}

fn foreign_pods_are_left_alone(containerd: &Arc<Containerd>) {
    let recipe = Recipe {
        name: "stranger-abcde",
        image: "docker.io/library/busybox:latest",
        command: &["sleep", "1000"],
        labels: &[
            ("setlet.dev/node", "somebody-else"),
            ("setlet.dev/daemonset", "stranger"),
        ],
        port: None,
    };
    let pod = foreign::run(containerd, &recipe);
    let theirs = || {
        let mut all = containerd.containers();
        all.retain(|one| one.pod() == "stranger-abcde");
        all
    };
    let before = theirs();
    let agent = Agent::started(containerd, "neighbour");
    agent.put("a.yaml", &sleeper("mine").yaml());
    agent.wait_running("mine", 1);
    let listed = agent.setlet(&["get", "pods", "-A"]);
    assert!(!listed.contains("stranger"), "{listed}");
    agent.remove("a.yaml");
    agent.wait_empty();
    assert_eq!(theirs(), before);
    foreign::remove(containerd, &pod.sandbox);
}

fn a_directory_that_vanishes(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "vanish");
    agent.put("a.yaml", &sleeper("kept").yaml());
    agent.wait_running("kept", 1);
    let before = everything(&agent);
    let (dir, away) = (agent.dir().join("manifests"), agent.dir().join("away"));
    std::fs::rename(&dir, &away).expect("move the directory away");
    agent.wait_for(SOON, "status says that it is gone", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("manifests") && status.contains("No such file") {
            Ok(())
        } else {
            Err(status)
        }
    });
    assert_eq!(everything(&agent), before);
    agent.kill9();
    agent.start();
    agent.wait_for(SOON, "it answers", || agent.http("/healthz").map(drop));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        everything(&agent),
        before,
        "missing at the start ends nothing either"
    );

    std::fs::rename(&away, &dir).expect("move the directory back");
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(everything(&agent), before);
    agent.remove("a.yaml");
    agent.wait_empty();
}

/// Kills the agent at many moments of starting, replacing and removing a pod. In the end the state
/// is as without the kills, and no pod is doubled or lost.
fn killed_at_any_moment(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "anytime");
    for step in 0..12u64 {
        let script = format!("trap 'exit 0' TERM; echo {step}; while :; do sleep 1; done");
        agent.put(
            "a.yaml",
            &Set {
                script: &script,
                ..sleeper("hunted")
            }
            .yaml(),
        );
        agent.start();
        std::thread::sleep(Duration::from_millis(40 * step + 20));
        agent.kill9();
    }
    agent.start();
    agent.wait_for(SOON, "one pod with one container, the newest", || {
        let all = containerd.known(agent.containers());
        let running = agent.running_of("hunted");
        // A start that the last kill cut off may have failed: then one that ended is kept, as any.
        let alike = |one: &&Container| running.iter().any(|runs| runs.pod() == one.pod());
        let of_pod = all.iter().filter(alike).count() == all.len();
        let sandboxes = all.iter().filter(|one| one.is_sandbox()).count();
        let log = running
            .first()
            .map(|one| agent.container_log(one))
            .unwrap_or_default();
        if of_pod && sandboxes == 1 && all.len() <= 3 && running.len() == 1 && log.contains(" 11\n")
        {
            Ok(())
        } else {
            Err(format!("{all:?}; log {log}"))
        }
    });
    agent.remove("a.yaml");
    agent.wait_for(SOON, "nothing is left", || {
        match containerd.known(agent.containers()).as_slice() {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        }
    });
}

fn containerd_restarts() {
    let containerd = Arc::new(Containerd::launch());
    let agent = Agent::started(&containerd, "restart");
    agent.put("a.yaml", &sleeper("alpha").yaml());
    agent.wait_running("alpha", 1);
    let before = everything(&agent);
    containerd.kill();
    agent.put("b.yaml", &sleeper("beta").yaml());
    agent.wait_for(SOON, "status says that the runtime is away", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("containerd.sock") {
            Ok(())
        } else {
            Err(status)
        }
    });
    containerd.start();
    agent.wait_running("beta", 1);
    let after = everything(&agent);
    assert!(
        before.iter().all(|one| after.contains(one)),
        "{before:?} in {after:?}"
    );

    let alpha = agent.wait_running("alpha", 1).remove(0);
    let pid =
        nix::unistd::Pid::from_raw(i32::try_from(alpha.pid.expect("a process")).expect("an id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kill the container");
    agent.wait_for(Duration::from_secs(5), "events flow again", || {
        let running = agent.running_of("alpha");
        match running.first() {
            Some(now) if now.id != alpha.id => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
}

fn containerd_is_late() {
    let containerd = Arc::new(Containerd::launch());
    containerd.stop();
    let agent = Agent::started(&containerd, "late");
    agent.put("a.yaml", &sleeper("alpha").yaml());
    agent.wait_for(SOON, "the agent answers and says what is missing", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("containerd.sock") {
            Ok(())
        } else {
            Err(status)
        }
    });
    containerd.start();
    agent.wait_running("alpha", 1);
}

fn reboot() {
    let containerd = Arc::new(Containerd::launch());
    let mut agent = Agent::started(&containerd, "reboot");
    agent.put("a.yaml", &sleeper("alpha").yaml());
    agent.put(
        "b.yaml",
        &Set {
            pod: &["hostNetwork: true"],
            ..sleeper("beta")
        }
        .yaml(),
    );
    let before = (
        agent.wait_running("alpha", 1),
        agent.wait_running("beta", 1),
    );
    agent.ready();
    containerd.power_off();
    agent.kill9();
    containerd.start();
    agent.start();
    let after = (
        agent.wait_running("alpha", 1),
        agent.wait_running("beta", 1),
    );
    assert_eq!(
        before.0[0].pod(),
        after.0[0].pod(),
        "the same pod in a new sandbox"
    );
    assert_eq!(
        before.1[0].pod(),
        after.1[0].pod(),
        "the same pod in a new sandbox"
    );
    assert_ne!(before.0[0].id, after.0[0].id);
    let pods = agent.setlet(&["get", "pods"]);
    assert!(pods.contains("alpha-") && pods.contains("1/1"), "{pods}");
}
