//! Volumes that would hold up an agent: a mount that never answers, and a tree too deep to remove.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "hung::mount_holds_up_only_its_pods",
        mount_holds_up_only_its_pods,
    );
    suite.together(
        "hung::state_directory_holds_up_nothing_else",
        state_directory_holds_up_nothing_else,
    );
    suite.together("hung::deep_tree_is_removed", deep_tree_is_removed);
    suite.together(
        "hung::part_of_the_manifests_directory",
        part_of_the_manifests_directory,
    );
}

/// A FUSE file system that nobody serves, like NFS whose server is gone. Whoever waits for it is
/// free again when this is dropped.
struct Hung {
    path: PathBuf,
    server: Option<File>,
}

impl Hung {
    fn at(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("a directory");
        let mut options = OpenOptions::new();
        let server = options.read(true).write(true).open("/dev/fuse");
        let server = server.expect("/dev/fuse can be opened");
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            server.as_raw_fd()
        );
        let (kind, data) = (Some("fuse"), Some(data.as_str()));
        mount(Some("hung"), &path, kind, MsFlags::empty(), data).expect("mount");
        Self {
            path,
            server: Some(server),
        }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        umount2(&self.path, MntFlags::MNT_DETACH).expect("unmount");
        drop(self.server.take());
    }
}

fn on(name: &str, path: &Path, kind: &str) -> String {
    let path = path.display().to_string();
    let volume = format!("volumes: [{{name: v, hostPath: {{path: {path:?}, type: {kind:?}}}}}]");
    Set {
        pod: &[&volume],
        container: &["volumeMounts: [{name: v, mountPath: /v}]"],
        ..sleeper(name)
    }
    .yaml()
}

/// A pod whose liveness probe leaves a mark each second in a directory, where it can be seen.
struct Probed {
    times: PathBuf,
}

impl Probed {
    fn put(agent: &Agent) -> Self {
        let asked = agent.dir().join("asked");
        std::fs::create_dir(&asked).expect("a directory");
        let asked_volume = format!(
            "volumes: [{{name: v, hostPath: {{path: {:?}}}}}]",
            asked.display().to_string()
        );
        let well = Set {
            pod: &[&asked_volume],
            container: &[
                "volumeMounts: [{name: v, mountPath: /v}]",
                "livenessProbe: {exec: {command: [sh, -c, echo >> /v/times]}, periodSeconds: 1}",
            ],
            ..sleeper("well")
        };
        agent.put("well.yaml", &well.yaml());
        agent.wait_running("well", 1);
        Self {
            times: asked.join("times"),
        }
    }

    fn goes_on(&self, agent: &Agent) {
        let times = || std::fs::metadata(&self.times).map_or(0, |found| found.len());
        let before = times();
        agent.wait_for(SOON, "the other pod's probe goes on", || {
            let now = times();
            if now > before + 1 {
                Ok(())
            } else {
                Err(now.to_string())
            }
        });
    }
}

/// The disk of the state directory stalls in the middle of a write: what is decided waits for it, and
/// nothing else does.
fn state_directory_holds_up_nothing_else(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "hung-state");
    agent.ready();
    let probed = Probed::put(&agent);
    let state = agent.dir().join("state");
    let hung = Hung::at(state.join("sets"));
    agent.put("late.yaml", &sleeper("late").yaml());
    let want = format!(
        "the state directory {} does not answer since ",
        state.display()
    );
    agent.wait_for(SOON, "status names the state directory", || {
        let said = agent.try_setlet(&["status"]).stdout;
        if said.contains("NotAnswering") && said.contains(&want) {
            Ok(())
        } else {
            Err(said)
        }
    });
    let metrics = agent.http("/metrics").expect("metrics").1;
    assert!(metrics.contains("setlet_hung_threads{} 1"), "{metrics}");
    probed.goes_on(&agent);

    // Containers are restarted, more often than reports have room to wait.
    let before = agent.running_of("well").remove(0);
    let pid = i32::try_from(before.pid.expect("a process")).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill it");
    agent.wait_for(SOON, "its container is restarted", || {
        match agent.running_of("well").first() {
            Some(one) if one.id != before.id => Ok(()),
            one => Err(format!("{one:?}")),
        }
    });
    probed.goes_on(&agent);
    assert!(
        agent.running_of("late").is_empty(),
        "not before it is written"
    );

    let (status, took) = agent.term();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    drop(hung);
    agent.start();
    agent.wait_running("late", 1);
}

fn mount_holds_up_only_its_pods(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "hung");
    agent.ready();
    let probed = Probed::put(&agent);
    let hung = Hung::at(agent.dir().join("dead"));
    for (name, kind) in [("typed", "Directory"), ("untyped", "")] {
        agent.put(&format!("{name}.yaml"), &on(name, &hung.path, kind));
    }
    let path = hung.path.display().to_string();
    let want = format!("MountVolume.SetUp failed for volume \"v\" : {path} does not answer since ");
    for name in ["typed", "untyped"] {
        agent.wait_for(SOON, "explain says that the mount does not answer", || {
            let said = agent.try_setlet(&["explain", name]).stdout;
            if said.contains("FailedMount") && said.contains(&want) {
                Ok(())
            } else {
                Err(said)
            }
        });
    }
    let metrics = agent.http("/metrics").expect("metrics").1;
    assert!(metrics.contains("setlet_hung_threads{} 2"), "{metrics}");

    // All else goes on: probes, new pods, and the end of one that waits.
    probed.goes_on(&agent);
    agent.put("late.yaml", &sleeper("late").yaml());
    agent.wait_running("late", 1);
    agent.remove("typed.yaml");
    agent.wait_for(SOON, "the pod ends without its mount", || {
        let pods = agent.json("/api/v1/pods")?;
        let named = |pod: &Value| pod["metadata"]["name"].as_str().map(str::to_owned);
        let names: Vec<String> = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(named)
            .collect();
        if names.iter().any(|name| name.starts_with("typed-")) {
            Err(names.join(" "))
        } else {
            Ok(())
        }
    });
    let (status, _) = agent.term();
    assert!(status.success(), "{status}");

    // Once it answers, or is replaced, the pod starts.
    drop(hung);
    agent.start();
    agent.wait_running("untyped", 1);
}

/// A subdirectory of the manifests that does not answer, and a link into it: the rest is read on.
fn part_of_the_manifests_directory(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "hung-part");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {a: b}\n";
    agent.put("dead/words.yaml", map);
    let words = "envFrom: [{configMapRef: {name: words}}]";
    let set = Set {
        container: &[words],
        ..sleeper("below")
    };
    agent.put("dead/below.yaml", &set.yaml());
    let set = Set {
        container: &[words],
        ..sleeper("reader")
    };
    agent.put("reader.yaml", &set.yaml());
    let reader = agent.wait_running("reader", 1).remove(0);
    agent.put("gone.yaml", &sleeper("gone").yaml());
    agent.wait_running("gone", 1);
    agent.put("beside.yaml", &sleeper("beside").yaml());
    let below = agent.wait_running("below", 1).remove(0);
    agent.wait_running("beside", 1);
    let manifests = agent.dir().join("manifests");
    let hung = Hung::at(manifests.join("dead"));
    std::os::unix::fs::symlink("dead/other.yaml", manifests.join("link.yaml")).expect("a link");

    // More of them than threads may hang for pods; the mount is waited for once.
    for n in 0..40 {
        let link = manifests.join(format!("more-{n:02}.yaml"));
        std::os::unix::fs::symlink(format!("dead/{n}.yaml"), link).expect("a link");
    }
    let (dead, link) = (hung.path.clone(), manifests.join("link.yaml"));
    let named = |agent: &Agent| {
        let want = [&dead, &link]
            .map(|path| format!("{}: its filesystem does not answer since ", path.display()));
        agent.wait_for(SOON, "status names what does not answer", || {
            let said = agent.try_setlet(&["status"]).stdout;
            if want.iter().all(|want| said.contains(want)) {
                Ok(())
            } else {
                Err(said)
            }
        });
    };
    // A scan finds it; the agent hears of none of the mount's own changes.
    agent.put("new/late.yaml", &sleeper("late").yaml());
    agent.wait_running("late", 1);
    named(&agent);
    agent.remove("beside.yaml");
    agent.wait_for(SOON, "a set of the rest ends", || {
        match agent.running_of("beside").len() {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    });
    assert_eq!(agent.running_of("below")[0].id, below.id);

    // An agent that starts meanwhile reads the rest too. It ends what was taken from there, and
    // nothing of what it cannot read.
    let (status, _) = agent.term();
    assert!(status.success(), "{status}");
    agent.remove("gone.yaml");
    agent.start();
    agent.put("last.yaml", &sleeper("last").yaml());
    agent.wait_running("last", 1);
    named(&agent);
    agent.wait_for(SOON, "what was removed meanwhile ends", || {
        match agent.running_of("gone").len() {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    });
    assert_eq!(agent.running_of("below")[0].id, below.id);
    assert_eq!(agent.running_of("reader")[0].id, reader.id);
    drop(hung);
}

fn deep_tree_is_removed(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "deep");
    let digger = Set {
        script: "cd /v; i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; \
                 echo dug; trap 'exit 0' TERM; while :; do sleep 1; done",
        pod: &["volumes: [{name: v, emptyDir: {}}]"],
        container: &["volumeMounts: [{name: v, mountPath: /v}]"],
        ..sleeper("digger")
    };
    agent.put("a.yaml", &digger.yaml());
    let running = agent.wait_running("digger", 1).remove(0);
    agent.wait_for(SOON, "it has dug", || {
        let log = agent.container_log(&running);
        if log.contains("dug") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let pods = agent.dir().join("state/pods");
    let made = |pods: &Path| std::fs::read_dir(pods).expect("a list").count();
    assert_eq!(made(&pods), 1);
    agent.remove("a.yaml");
    agent.wait_empty();
    agent.wait_for(SOON, "its volume is gone", || match made(&pods) {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
}
