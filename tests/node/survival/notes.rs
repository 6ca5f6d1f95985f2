//! The notes and leases of a pod's network, emptied by a power cut.

use std::path::PathBuf;
use std::sync::Arc;

use crate::harness::{Agent, Containerd};
use crate::set::sleeper;

/// A power cut may leave the note that the runtime has of a pod's network empty.
pub(super) fn a_note_is_lost() {
    let containerd = Arc::new(Containerd::launch());
    let mut agent = Agent::started(&containerd, "lost-note");
    agent.put("a.yaml", &sleeper("alpha").yaml());
    let before = agent.wait_running("alpha", 1);
    agent.kill9();
    let containers = agent.containers();
    let sandbox = containers
        .iter()
        .find(|one| one.is_sandbox())
        .expect("a sandbox");
    let notes = std::fs::read_dir("/var/lib/cni/results").expect("the runtime's notes");
    let notes = notes.map(|note| note.expect("a note").path());
    let of_pod = |note: &PathBuf| {
        let name = note.to_string_lossy();
        name.contains(&sandbox.id) && name.ends_with("-eth0")
    };
    let note = notes.into_iter().find(of_pod).expect("the pod's note");
    containerd.power_off();
    std::fs::write(&note, "").expect("emptied");
    // And the lease of another pod's address, of which nobody knows.
    let directory = lease_of(&containerd, &sandbox.id);
    let foreign = directory.with_file_name("10.99.99.99");
    std::fs::write(&foreign, "").expect("emptied");
    containerd.start();
    agent.start();
    let after = agent.wait_running("alpha", 1);
    assert_eq!(before[0].pod(), after[0].pod());
    let left = leases(&containerd);
    assert!(
        left.iter().all(|(_, lease)| !lease.contains(&sandbox.id)),
        "{left:?}"
    );
    // Note and lease may both be lost, and be taken away with that pod's end, too.
    let id = new_sandbox(&agent);
    let note = PathBuf::from(note.to_string_lossy().replace(&sandbox.id, &id));
    let lease = lease_of(&containerd, &id);
    std::fs::write(&note, "").expect("emptied");
    std::fs::write(&lease, "").expect("emptied");
    agent.remove("a.yaml");
    agent.wait_empty();
    assert!(!note.exists());
    assert!(!lease.exists(), "{:?}", leases(&containerd));
    // Of a lease alone nothing is heard when the sandbox ends.
    agent.put("b.yaml", &sleeper("beta").yaml());
    agent.wait_running("beta", 1);
    let lease = lease_of(&containerd, &new_sandbox(&agent));
    std::fs::write(&lease, "").expect("emptied");
    agent.remove("b.yaml");
    agent.wait_empty();
    assert!(!lease.exists(), "{:?}", leases(&containerd));
    assert!(foreign.exists(), "it is not known to be of a pod of ours");
}

/// The only sandbox of an agent that is up.
fn new_sandbox(agent: &Agent) -> String {
    let all = agent.containers().into_iter();
    let mut up = all.filter(|one| one.is_sandbox() && one.pid.is_some());
    up.next().expect("a sandbox").id
}

/// The files that say which sandbox has which address, with their contents.
fn leases(containerd: &Containerd) -> Vec<(PathBuf, String)> {
    let networks = std::fs::read_dir(containerd.base().join("cni/leases")).expect("networks");
    let files = networks.flat_map(|network| {
        let network = network.expect("a network").path();
        std::fs::read_dir(network).expect("leases")
    });
    let file = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("a lease").path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (path, text)
    };
    files.map(file).collect()
}

/// The file of a sandbox's address.
fn lease_of(containerd: &Containerd, sandbox: &str) -> PathBuf {
    let mut all = leases(containerd).into_iter();
    let found = all.find(|(_, text)| text.contains(sandbox));
    found.expect("the sandbox's lease").0
}
