//! The node's name: one that changes, and one that two agents have.

use std::sync::Arc;

use serde_json::json;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::sleeper;
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("names::a_changed_name_takes_pods_over", a_changed_name);
    suite.together("names::two_agents_with_one_name", two_agents);
}

/// What runs goes on, is restarted and updated as before, and ends.
fn a_changed_name(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "names-old");
    agent.put("a.yaml", &sleeper("kept").yaml());
    agent.put("b.yaml", &sleeper("crashed").yaml());
    let kept = agent.wait_running("kept", 1);
    let crashed = agent.wait_running("crashed", 1).remove(0);
    agent.kill9();
    agent.config["nodeName"] = json!("names-new");
    agent.start();
    agent.ready();
    let status = agent.setlet(&["status"]);
    assert!(status.contains("node names-new"), "{status}");
    assert_eq!(agent.running_of("kept"), kept, "it runs on");

    containerd.ctr(&["tasks", "kill", "-s", "SIGKILL", &crashed.id]);
    let own = |set: &str| {
        let mut all = containerd.containers();
        all.retain(|one| !one.is_sandbox() && one.pid.is_some() && one.pod().starts_with(set));
        all
    };
    agent.wait_for(SOON, "the pod that crashed runs again", || {
        match own("crashed-").as_slice() {
            [one] if one.id != crashed.id && one.pod() == crashed.pod() => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    let new = sleeper("kept").yaml().replace("echo up", "echo new");
    agent.put("a.yaml", &new);
    agent.wait_for(SOON, "the update is made", || {
        match own("kept-").as_slice() {
            [one] if one.pod() != kept[0].pod() => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    agent.remove("a.yaml");
    agent.remove("b.yaml");
    agent.wait_for(SOON, "all pods are gone", || {
        let mut left = containerd.containers();
        left.retain(|one| one.pod().starts_with("kept-") || one.pod().starts_with("crashed-"));
        match left.as_slice() {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        }
    });
}

/// Each says so, and leaves the other's pods alone.
fn two_agents(containerd: &Arc<Containerd>) {
    let one = Agent::started(containerd, "names-two");
    one.put("a.yaml", &sleeper("mine").yaml());
    let before = one.wait_running("mine", 1);
    let mut two = Agent::new(containerd, "names-second");
    two.config["nodeName"] = json!("names-two");
    two.start();
    two.ready();
    two.put("b.yaml", &sleeper("yours").yaml());
    let theirs = one.wait_running("yours", 1);
    let says_so = |agent: &Agent| {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("NodeNameInUse: another agent") {
            Ok(())
        } else {
            Err(status)
        }
    };
    two.wait_for(SOON, "the second says so", || says_so(&two));
    // At its next list of the runtime, which comes every 30 s.
    one.wait_for(SOON * 2, "the first says so", || says_so(&one));
    assert_eq!(one.running_of("mine"), before);
    assert_eq!(one.running_of("yours"), theirs);
    two.remove("b.yaml");
    one.remove("a.yaml");
    one.wait_empty();
}
