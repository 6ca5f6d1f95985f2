//! Updates in place: the pod and its sandbox stay.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::containerd::Container;
use crate::harness::{Agent, Containerd};
use crate::rollout::TWO;
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("in_place::restarts_what_changed", restarts_what_changed);
    suite.together(
        "in_place::resizes_without_a_restart",
        resizes_without_a_restart,
    );
}

/// A set of two containers that is updated in place.
fn pair<'a>(name: &'a str, container: &'a [&'a str]) -> Set<'a> {
    Set {
        annotations: &["setlet.dev/update: in-place"],
        container,
        ..sleeper(name)
    }
}

/// A second container, written after the fields of the first one.
const SIDE: &str = "- {name: side, image: 'docker.io/library/busybox:latest', \
                    imagePullPolicy: IfNotPresent, command: [sleep, '1000']}";

/// The manifest with the second container.
fn with_side(set: &Set<'_>) -> String {
    format!("{}      {SIDE}\n", set.yaml())
}

fn restarts_what_changed(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "inplace");
    agent.put("a.yaml", &with_side(&pair("place", &[])));
    let before = agent.wait_running("place", 2);
    let named = |all: &[Container], name: &str| -> Container {
        let mut all = all.iter();
        all.find(|one| one.name() == name)
            .cloned()
            .expect("a container")
    };
    let sandbox = |agent: &Agent| {
        let all = agent.containers();
        let mut all = all.into_iter().filter(Container::is_sandbox);
        all.next().expect("a sandbox")
    };
    let first_sandbox = sandbox(&agent);
    agent.put("a.yaml", &with_side(&pair("place", TWO)));
    let main = named(&before, "main");
    let after = agent.wait_for(SOON, "main is another container", || {
        let running = agent.running_of("place");
        let done = running.len() == 2 && !running.contains(&main);
        if done {
            Ok(running)
        } else {
            Err(format!("{running:?}"))
        }
    });
    assert_eq!(named(&after, "side"), named(&before, "side"));
    assert_eq!(sandbox(&agent), first_sandbox);
    assert_eq!(named(&after, "main").pod(), main.pod());
    let env = agent.containerd().ctr(&[
        "tasks",
        "exec",
        "--exec-id",
        "e",
        &named(&after, "main").id,
        "env",
    ]);
    assert!(env.contains("V=two"), "{env}");
    let status = agent.setlet(&["rollout", "status", "place", "--timeout", "10s"]);
    assert!(status.contains("successfully rolled out"), "{status}");
    agent.kill9();
    agent.start();
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        agent.running_of("place"),
        after,
        "a restart finds it as it is"
    );
}

fn resizes_without_a_restart(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "resize");
    let small = &["resources: {limits: {memory: 32Mi}, requests: {cpu: 10m}}"];
    let large = &["resources: {limits: {memory: 64Mi}, requests: {cpu: 20m}}"];
    agent.put("a.yaml", &pair("resize", small).yaml());
    let before = agent.wait_running("resize", 1);
    let limit = || -> Option<u64> {
        let pid = before[0].pid?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let v1 = groups
            .lines()
            .find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
        let file = match v1 {
            Some(path) => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
            None => {
                let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
                format!("/sys/fs/cgroup{path}/memory.max")
            }
        };
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    assert_eq!(limit(), Some(32 << 20));
    agent.put("a.yaml", &pair("resize", large).yaml());
    agent.wait_for(SOON, "the limit is 64 MiB", || match limit() {
        Some(bytes) if bytes == 64 << 20 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(agent.running_of("resize"), before);
}
