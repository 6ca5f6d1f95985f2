//! The cgroups that the agent makes for pods, and what may be left in them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd, wait_for};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "cgroups::lost_processes_end_with_their_pod",
        lost_processes_end_with_their_pod,
    );
    suite.alone(
        "cgroups::classes_and_all_pods_are_bounded",
        classes_and_all_pods_are_bounded,
    );
}

/// As kubelet bounds them, on whichever version of cgroups the machine has.
fn classes_and_all_pods_are_bounded() {
    let containerd = Arc::new(Containerd::launch());
    let mut agent = Agent::new(&containerd, "classes");
    agent.config["reserved"] = serde_json::json!({"cpu": "1", "memory": "1Gi", "pid": 1000});
    agent.start();
    for (name, cpu) in [("one", "250m"), ("two", "70m")] {
        let resources = format!("resources: {{requests: {{cpu: {cpu}}}}}");
        let set = Set {
            container: &[&resources],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &set.yaml());
    }
    agent.put("rest.yaml", &sleeper("rest").yaml());
    for name in ["one", "two", "rest"] {
        agent.wait_running(name, 1);
    }
    let root = containerd.base().file_name().expect("a name");
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let read = |controller: &str, below: &str, name: &str| {
        let mut at = PathBuf::from("/sys/fs/cgroup");
        if !unified {
            at.push(controller);
        }
        let text = fs::read_to_string(at.join(root).join(below).join(name));
        text.unwrap_or_else(|error| error.to_string())
            .trim()
            .to_owned()
    };
    let (cpu, memory) = match unified {
        true => ("cpu.weight", "memory.max"),
        false => ("cpu.shares", "memory.limit_in_bytes"),
    };
    let is = |what: (&str, &str, &str), expected: String| {
        agent.wait_for(SOON, &format!("{what:?} is {expected}"), || {
            let found = read(what.0, what.1, what.2);
            if found == expected {
                Ok(())
            } else {
                Err(found)
            }
        });
    };
    let shares = |legacy: i64| match unified {
        true => (1 + (legacy - 2) * 9999 / 262_142).to_string(),
        false => legacy.to_string(),
    };
    is(("cpu", "besteffort", cpu), shares(2));
    // 320m of 1024 a processor: of the sum, not the sum of what each comes to.
    is(("cpu", "burstable", cpu), shares(327));
    let facts = agent.json("/api/v1/nodes/classes").expect("the node");
    let kib = facts["status"]["capacity"]["memory"]
        .as_str()
        .expect("memory");
    let kib: u64 = kib.trim_end_matches("Ki").parse().expect("a number");
    let all = (kib * 1024 - (1 << 30)) / 4096 * 4096;
    is(("memory", "", memory), all.to_string());
    let least = |name: &str| -> u64 {
        let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).expect("a limit");
        text.trim().parse().expect("a number")
    };
    let pids = least("pid_max").min(least("threads-max")) - 1000;
    is(("pids", "", "pids.max"), pids.to_string());
    agent.remove("one.yaml");
    is(("cpu", "burstable", cpu), shares(71));
}

/// As a runtime leaves one whose start was cut off: in the pod's cgroup, and known to nobody.
fn lost_processes_end_with_their_pod(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "lost");
    agent.put("a.yaml", &sleeper("lost").yaml());
    let pid = agent.wait_running("lost", 1)[0].pid.expect("it runs");
    let mut lost = Command::new("sleep").arg("1000").spawn().expect("sleep");
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let root = Path::new("/sys/fs/cgroup");
    let moves = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let hierarchy = match parts.next().expect("controllers") {
            "" if root.join("unified").is_dir() => root.join("unified"),
            controllers => root.join(controllers.trim_start_matches("name=")),
        };
        let container = parts.next().expect("a path").trim_start_matches('/');
        let cgroup = hierarchy.join(container).with_file_name("lost");
        // Not every hierarchy takes processes in a cgroup without bounds of its own.
        fs::create_dir(&cgroup).is_ok()
            && fs::write(cgroup.join("cgroup.procs"), lost.id().to_string()).is_ok()
    };
    assert!(
        cgroups.lines().filter(|line| moves(line)).count() > 0,
        "{cgroups}"
    );
    agent.remove("a.yaml");
    let ended = wait_for(SOON, "the lost process ends", || {
        let ended = lost.try_wait().expect("its status");
        ended.ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(ended.signal(), Some(9));
    agent.wait_empty();
}
