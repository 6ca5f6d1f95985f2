//! The cgroups that the agent makes for pods, and what may be left in them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd, wait_for};
use crate::set::sleeper;
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "cgroups::lost_processes_end_with_their_pod",
        lost_processes_end_with_their_pod,
    );
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
