//! A state directory on a full disk: an end needs no room, records that are there are looked after at a
//! start, and what could not be written is done as soon as there is room, whatever comes between.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// The longest wait of the agent's is 8 s; the rest is for a busy machine.
const WITH_ROOM: Duration = Duration::from_secs(20);

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "state_disk::what_failed_is_done_afterwards",
        done_afterwards,
    );
    suite.together("state_disk::an_end_needs_no_room", an_end_needs_no_room);
    suite.together(
        "state_disk::what_is_left_of_pods_is_removed",
        left_is_removed,
    );
}

/// A small disk; unmounted when the trial ends.
struct Disk(PathBuf);

impl Disk {
    fn under(agent: &Agent) -> Self {
        let state = agent.dir().join("state");
        std::fs::create_dir_all(&state).expect("the state directory");
        let flags = nix::mount::MsFlags::empty();
        let size = Some("size=2m,mode=700");
        nix::mount::mount(Some("tmpfs"), &state, Some("tmpfs"), flags, size).expect("a small disk");
        Self(state)
    }

    /// Writes until nothing goes in any more.
    fn fill(&self) {
        let mut file = File::create(self.0.join("ballast")).expect("the ballast");
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        while file.write_all(b"x").is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("remove the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).ok();
    }
}

fn status_says(agent: &Agent, words: &str) {
    agent.wait_for(SOON, &format!("status says {words}"), || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains(words) {
            Ok(())
        } else {
            Err(status)
        }
    });
}

fn config(text: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: cfg}}, data: {{k: {text}}}}}")
}

fn kill_of(container: &Container) {
    let pid = i32::try_from(container.pid.expect("a process")).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill it");
}

fn done_afterwards(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "disk-after");
    let disk = Disk::under(&agent);
    agent.start();
    agent.put("cm.yaml", &config("one"));
    let reader = Set {
        pod: &["volumes: [{name: c, configMap: {name: cfg}}]"],
        container: &["volumeMounts: [{name: c, mountPath: /c}]"],
        ..sleeper("reader")
    };
    agent.put("reader.yaml", &reader.yaml());
    agent.put("changed.yaml", &sleeper("changed").yaml());
    agent.put("other.yaml", &sleeper("other").yaml());
    let before = agent.wait_running("changed", 1);
    let reads = agent.wait_running("reader", 1).remove(0);
    let other = agent.wait_running("other", 1).remove(0);

    disk.fill();
    let new = sleeper("changed").yaml().replace("echo up", "echo new");
    agent.put("changed.yaml", &new);
    agent.put("cm.yaml", &config("two"));
    status_says(&agent, "StateNotWritten");
    status_says(&agent, "FailedMount");
    // Another pass comes between: a pod reports.
    kill_of(&other);
    agent.wait_for(SOON, "the other pod is restarted", || {
        match agent.running_of("other").first() {
            Some(one) if one.id != other.id => Ok(()),
            one => Err(format!("{one:?}")),
        }
    });
    let log = agent.log_tail();
    let told = log.matches("state directory cannot be written").count();
    assert!(told <= 2, "it is told once what is wrong:\n{log}");
    disk.free();
    agent.wait_for(WITH_ROOM, "the set's change is made", || {
        let running = agent.running_of("changed");
        match running.as_slice() {
            [one] if one.id != before[0].id => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
    let root = format!("/proc/{}/root/c/k", reads.pid.expect("a process"));
    agent.wait_for(
        WITH_ROOM,
        "the volume's content is new",
        || match std::fs::read_to_string(&root) {
            Ok(text) if text == "two" => Ok(()),
            text => Err(format!("{text:?}")),
        },
    );
    agent.wait_for(SOON, "status says nothing of it any more", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("StateNotWritten") || status.contains("FailedMount") {
            Err(status)
        } else {
            Ok(())
        }
    });
    end_all(&agent);
}

fn an_end_needs_no_room(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "disk-end");
    let disk = Disk::under(&agent);
    agent.start();
    for name in ["ended", "deleted", "kept"] {
        agent.put(&format!("{name}.yaml"), &sleeper(name).yaml());
    }
    let running = ["ended", "deleted", "kept"].map(|name| agent.wait_running(name, 1).remove(0));
    disk.fill();
    agent.remove("ended.yaml");
    let [_, deleted, kept] = running;
    agent.setlet(&["delete", "pod", deleted.pod()]);
    agent.wait_for(SOON, "both pods are gone", || {
        let gone = |name| {
            agent
                .running_of(name)
                .iter()
                .all(|one| one.id != deleted.id) as usize
        };
        match (agent.running_of("ended").len(), gone("deleted")) {
            (0, 1) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });

    // The disk is full when the agent starts, and a pod whose record is there crashes meanwhile.
    agent.kill9();
    disk.fill();
    kill_of(&kept);
    agent.start();
    agent.wait_for(SOON, "the pod that crashed runs again", || {
        let running = agent.running_of("kept");
        match running.as_slice() {
            [one] if one.pod() == kept.pod() && one.id != kept.id => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
    disk.free();
    end_all(&agent);
}

/// A directory of a pod that nobody knows, with a mount and a link out of it.
fn leave(agent: &Agent, uid: &str) -> PathBuf {
    let pod = agent.dir().join("state/pods").join(uid);
    let volumes = pod.join("volumes/kubernetes.io~empty-dir");
    let (mounted, plain) = (volumes.join("mounted"), volumes.join("plain"));
    for directory in [&mounted, &plain] {
        std::fs::create_dir_all(directory).expect("a directory");
    }
    let outside = agent.dir().join("outside");
    std::fs::create_dir_all(&outside).expect("a directory");
    std::fs::write(outside.join("spared"), "x").expect("a file");
    let (none, bind) = (None::<&str>, nix::mount::MsFlags::MS_BIND);
    nix::mount::mount(Some(&outside), &mounted, none, bind, none).expect("a mount");
    std::os::unix::fs::symlink(&outside, plain.join("link")).expect("a link");
    pod
}

fn left_is_removed(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "disk-left");
    let first = leave(&agent, "0b6d2a52-6a4f-4a0c-9a5e-0c2f0e4d1b11");
    let record = "0b6d2a52-6a4f-4a0c-9a5e-0c2f0e4d1b33";
    let recorded = agent.dir().join("state/pods").join(record);
    let other = agent.dir().join("state/pods/lost+found");
    let records = agent.dir().join("state/records");
    for directory in [&recorded, &other, &records] {
        std::fs::create_dir_all(directory).expect("a directory");
    }
    // Its record cannot be read, which is no proof that nobody wants it.
    std::fs::write(records.join(format!("{record}.json")), "?").expect("a file");
    agent.start();
    for name in ["stays", "goes"] {
        let with_volume = Set {
            pod: &["volumes: [{name: v, emptyDir: {}}]"],
            container: &["volumeMounts: [{name: v, mountPath: /v}]"],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &with_volume.yaml());
    }
    let stays = agent.wait_running("stays", 1).remove(0);
    agent.wait_running("goes", 1);
    let is_gone = |path: &Path| {
        agent.wait_for(WITH_ROOM, "what is left is removed", || {
            if path.exists() {
                Err(path.display().to_string())
            } else {
                Ok(())
            }
        });
    };
    is_gone(&first);
    let second = leave(&agent, "0b6d2a52-6a4f-4a0c-9a5e-0c2f0e4d1b22");
    agent.remove("goes.yaml");
    is_gone(&second);
    assert!(agent.dir().join("outside/spared").exists());
    let own = stays.label("io.kubernetes.pod.uid");
    let own = agent.dir().join("state/pods").join(own);
    for kept in [&recorded, &other, &own.join("volumes")] {
        assert!(kept.exists(), "{}", kept.display());
    }
    end_all(&agent);
}

fn end_all(agent: &Agent) {
    let directory: &Path = &agent.dir().join("manifests");
    for entry in std::fs::read_dir(directory)
        .expect("the manifests")
        .flatten()
    {
        std::fs::remove_file(entry.path()).expect("remove a manifest");
    }
    agent.wait_empty();
}
