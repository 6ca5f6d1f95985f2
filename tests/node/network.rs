//! A runtime that has no network for pods, or a network plugin that fails.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::agent::{SETLET, SOON};
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.alone(
        "network::pods_wait_for_the_network",
        pods_wait_for_the_network,
    );
    suite.alone("network::a_plugin_that_fails", a_plugin_that_fails);
}

/// The configuration of a containerd's network, taken away for a while.
struct Configuration {
    path: PathBuf,
    text: String,
}

impl Configuration {
    fn of(containerd: &Containerd) -> Self {
        let path = containerd.base().join("cni/conf/10-setlet.conflist");
        let text = std::fs::read_to_string(&path).expect("the network's configuration");
        Self { path, text }
    }

    fn take_away(&self) {
        std::fs::remove_file(&self.path).expect("remove the configuration");
    }

    /// Appears whole, as from a package or a network's own pod.
    fn write(&self, text: &str) {
        let whole = self.path.with_extension("new");
        std::fs::write(&whole, text).expect("write the configuration");
        std::fs::rename(&whole, &self.path).expect("rename the configuration");
    }
}

/// The network namespaces that a containerd has made and not removed.
fn namespaces(base: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let base = base.to_string_lossy();
    let is_one = |line: &&str| line.contains(&*base) && line.contains(" - nsfs ");
    mounts.lines().filter(is_one).count()
}

fn sandboxes(agent: &Agent, set: &str) -> usize {
    let all = agent.containers().into_iter();
    let of_set = format!("{set}-");
    all.filter(|one| one.is_sandbox() && one.pod().starts_with(&of_set))
        .count()
}

/// How often events of these reasons were told of pods.
fn told(agent: &Agent, reasons: &[&str]) -> u64 {
    let events = agent.json("/api/v1/events").unwrap_or_default();
    let items = events["items"].as_array().cloned().unwrap_or_default();
    let of = items
        .iter()
        .filter(|event| reasons.iter().any(|reason| event["reason"] == *reason));
    of.map(|event| event["count"].as_u64().unwrap_or(1)).sum()
}

fn on_host(name: &str) -> String {
    let pod = &["hostNetwork: true"];
    Set {
        pod,
        ..sleeper(name)
    }
    .yaml()
}

fn pods_wait_for_the_network() {
    let containerd = Arc::new(Containerd::launch());
    let configuration = Configuration::of(&containerd);
    containerd.stop();
    configuration.take_away();
    containerd.start();
    let agent = Agent::started(&containerd, "no-network");
    agent.put("pod.yaml", &sleeper("pod").yaml());
    agent.put("host.yaml", &on_host("host"));
    agent.wait_running("host", 1);
    agent.wait_for(SOON, "status says what to install", || {
        let text = agent.setlet(&["status"]);
        let all = [
            "not ready",
            "NetworkNotReady",
            "containernetworking-plugins",
        ];
        match all.iter().all(|part| text.contains(part)) {
            true => Ok(()),
            false => Err(text),
        }
    });
    let node = agent.json("/api/v1/nodes/no-network").expect("the node");
    let ready = &node["status"]["conditions"][0];
    assert_eq!(ready["status"], "False", "{ready}");
    let message = ready["message"].as_str().expect("a message");
    let words = "container runtime network not ready: NetworkReady=false reason:";
    assert!(message.starts_with(words), "{message}");
    // Several looks at the pod later nothing was made for it.
    agent.wait_for(SOON, "the pod was looked at again", || {
        match told(&agent, &["NetworkNotReady"]) {
            count @ 0..3 => Err(format!("{count} events")),
            _ => Ok(()),
        }
    });
    assert_eq!(sandboxes(&agent, "pod"), 0);
    assert_eq!(namespaces(containerd.base()), 0);

    configuration.write(&configuration.text);
    agent.wait_running("pod", 1);
    assert_eq!(told(&agent, &["FailedCreatePodSandBox"]), 0);
    agent.wait_for(SOON, "the node is ready", || {
        let text = agent.setlet(&["status"]);
        match text.contains("not ready") {
            true => Err(text),
            false => Ok(()),
        }
    });
}

/// As one that is named and not installed: it can neither make a network nor take one away.
fn a_plugin_that_fails() {
    let containerd = Arc::new(Containerd::launch());
    let configuration = Configuration::of(&containerd);
    let agent = Agent::started(&containerd, "bad-plugin");
    agent.put("first.yaml", &sleeper("first").yaml());
    let first = agent.wait_running("first", 1);
    let broken = configuration.text.replace("portmap", "not-installed");
    configuration.write(&broken);
    agent.put("second.yaml", &sleeper("second").yaml());
    // A try every 10 s, and on containerd 1.7 and 2.x one event a try.
    agent.wait_for(
        4 * SOON,
        "the second pod's sandbox was tried often",
        || match told(&agent, &["FailedCreatePodSandBox", "FailedKillPod"]) {
            count @ 0..4 => Err(format!("{count} events")),
            _ => Ok(()),
        },
    );
    // A try may be on its way; what piles up would not go down again.
    agent.wait_for(SOON, "nothing of the tries is left", || {
        let (left, spaces) = (sandboxes(&agent, "second"), namespaces(containerd.base()));
        match left <= 1 && spaces <= 2 {
            true => Ok(()),
            false => Err(format!("{left} sandboxes, {spaces} namespaces")),
        }
    });

    // The first pod cannot end either, and who waits for that hears why.
    let mut delete = Command::new(SETLET)
        .args(["delete", "pod", first[0].pod(), "--socket"])
        .arg(agent.socket())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("setlet delete");
    let mut said = delete.stderr.take().expect("its standard error");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("KillPodSandboxError") {
        let mut piece = [0; 512];
        let length = said.read(&mut piece).expect("what it waits for");
        let so_far = String::from_utf8_lossy(&text).into_owned();
        assert_ne!(length, 0, "{so_far}\n{}", agent.log_tail());
        text.extend_from_slice(&piece[..length]);
    }
    configuration.write(&configuration.text);
    assert!(delete.wait().expect("its end").success());
    agent.wait_running("second", 1);
    agent.wait_for(SOON, "one sandbox a pod is there", || {
        match (sandboxes(&agent, "first"), sandboxes(&agent, "second")) {
            (1, 1) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    });
}
