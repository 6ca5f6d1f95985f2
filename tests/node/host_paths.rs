//! hostPath volumes of every type: what is made, what is checked, and how a failed check reads.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("host_paths::of_every_type", of_every_type);
    suite.together("host_paths::that_are_not_there", that_are_not_there);
    suite.together("host_paths::propagation_and_read_only", read_only);
}

fn with_volume(agent: &Agent, name: &str, path: &str, kind: &str) -> String {
    let path = agent.dir().join("host").join(path);
    let volume = match path.to_str() {
        Some(path) => {
            format!("volumes: [{{name: v, hostPath: {{path: {path:?}, type: {kind:?}}}}}]")
        }
        None => unreachable!("the trial's paths are text"),
    };
    let container = ["volumeMounts: [{name: v, mountPath: /v}]"];
    Set {
        pod: &[&volume],
        container: &container,
        ..sleeper(name)
    }
    .yaml()
}

fn of_every_type(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "hostpath");
    let host = agent.dir().join("host");
    std::fs::create_dir_all(host.join("dir")).expect("a directory");
    std::fs::write(host.join("file"), "x").expect("a file");
    let _listener = UnixListener::bind(host.join("socket")).expect("a socket");
    std::os::unix::fs::symlink("/dev/null", host.join("null")).expect("a link to a device");
    let good = [
        ("untyped", "made/by/runtime", ""),
        ("dirnew", "made/dir", "DirectoryOrCreate"),
        ("dir", "dir", "Directory"),
        ("filenew", "dir/newfile", "FileOrCreate"),
        ("file", "file", "File"),
        ("socket", "socket", "Socket"),
        ("chardev", "null", "CharDevice"),
    ];
    for (name, path, kind) in good {
        agent.put(
            &format!("{name}.yaml"),
            &with_volume(&agent, name, path, kind),
        );
    }
    for (name, ..) in good {
        agent.wait_running(name, 1);
    }
    assert!(host.join("made/by/runtime").is_dir());
    assert!(host.join("made/dir").is_dir());
    assert!(host.join("dir/newfile").is_file());
}

fn that_are_not_there(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "hostpathbad");
    let host = agent.dir().join("host");
    std::fs::create_dir_all(host.join("dir")).expect("a directory");
    std::fs::write(host.join("file"), "x").expect("a file");
    let bad = [
        ("nodir", "none", "Directory"),
        ("nofile", "none", "File"),
        ("nosocket", "file", "Socket"),
        ("nochar", "file", "CharDevice"),
        ("noblock", "file", "BlockDevice"),
        ("filedir", "file", "DirectoryOrCreate"),
        ("dirfile", "dir", "File"),
    ];
    for (name, path, kind) in bad {
        agent.put(
            &format!("{name}.yaml"),
            &with_volume(&agent, name, path, kind),
        );
    }
    agent.put(
        "fine.yaml",
        &with_volume(&agent, "fine", "dir", "Directory"),
    );
    agent.wait_running("fine", 1);
    for (name, path, kind) in bad {
        let path = host.join(path).display().to_string();
        agent.wait_for(SOON, "explain names path and type", || {
            let said = agent.try_setlet(&["explain", name]).stdout;
            let kind = kind.trim_end_matches("OrCreate").to_lowercase();
            let kind = kind.trim_end_matches("device");
            let named = said.contains("FailedMount")
                && said.contains(&path)
                && said.to_lowercase().contains(kind);
            if named {
                Ok(())
            } else {
                Err(format!("{name}: {said}"))
            }
        });
        assert!(agent.running_of(name).is_empty(), "{name}");
    }
    // What was missing arrives: the pod starts by itself.
    std::fs::create_dir(host.join("none")).expect("a directory");
    agent.wait_running("nodir", 1);
}

fn read_only(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "readonly");
    let host = agent.dir().join("host");
    std::fs::create_dir_all(&host).expect("a directory");
    share(&host);
    let volume = format!(
        "volumes: [{{name: v, hostPath: {{path: {:?}}}}}]",
        host.display().to_string()
    );
    let set = Set {
        script: "echo no > /ro/file && echo wrote; echo yes > /rw/file; echo done; sleep 1000",
        pod: &[&volume],
        container: &[
            "volumeMounts:",
            "- {name: v, mountPath: /ro, readOnly: true}",
            "- {name: v, mountPath: /rw, mountPropagation: HostToContainer}",
        ],
        ..sleeper("mounts")
    };
    agent.put("a.yaml", &set.yaml());
    let running = agent.wait_running("mounts", 1).remove(0);
    let log = agent.wait_for(SOON, "it has tried both", || {
        let log = agent.container_log(&running);
        if log.contains("done") {
            Ok(log)
        } else {
            Err(log)
        }
    });
    assert!(!log.contains("wrote"), "{log}");
    assert_eq!(
        std::fs::read_to_string(host.join("file")).expect("the file"),
        "yes\n"
    );
}

/// Propagation needs a shared mount; not every machine's root is one.
fn share(path: &std::path::Path) {
    use nix::mount::{MsFlags, mount};
    let none: Option<&str> = None;
    mount(Some(path), path, none, MsFlags::MS_BIND, none).expect("a bind mount");
    mount(none, path, none, MsFlags::MS_SHARED, none).expect("a shared mount");
}
