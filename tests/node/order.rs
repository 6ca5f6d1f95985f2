//! Trials of `setlet.dev/after`: sets that wait for paths, sockets, units and other sets, that wait
//! for each other, and that end in the reverse order.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::image::Image;
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// A condition that is met is acted on by itself, and not at the next relist of 30 s or rescan of 60 s.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("order::paths_and_sockets", paths_and_sockets);
    suite.together("order::another_set", another_set);
    suite.together("order::ends_in_reverse", ends_in_reverse);
    suite.together("order::manifests_are_late", manifests_are_late);
    suite.together("order::a_cycle_is_named", a_cycle_is_named);
    suite.together(
        "order::what_cannot_come_is_named",
        what_cannot_come_is_named,
    );
    suite.together("order::an_update_waits", an_update_waits);
    suite.together("order::updates_of_both_at_once", updates_of_both);
}

/// A set that comes after these.
fn follower(name: &str, after: &str) -> String {
    let annotation = format!("setlet.dev/after: {after:?}");
    let set = Set {
        annotations: &[&annotation],
        ..sleeper(name)
    };
    set.yaml()
}

fn wait_status(agent: &Agent, words: &[&str]) -> String {
    agent.wait_for(SOON, &format!("status says {words:?}"), || {
        let status = agent.try_setlet(&["status"]).stdout;
        if words.iter().all(|word| status.contains(word)) {
            Ok(status)
        } else {
            Err(status)
        }
    })
}

/// How long it takes until exactly one container of the set runs.
fn until_running(agent: &Agent, set: &str) -> Duration {
    let start = Instant::now();
    agent.wait_running(set, 1);
    start.elapsed()
}

fn paths_and_sockets(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "order-files");
    agent.ready();
    let (path, socket) = (agent.dir().join("a/b"), agent.dir().join("y.sock"));
    let image = "order.test/team/app:v1";
    containerd.publish(&Image::named(image).label("v", "order"));
    let after = format!("path:{}, socket:{}", path.display(), socket.display());
    let manifest = follower("files", &after).replace("docker.io/library/busybox:latest", image);
    agent.put("a.yaml", &manifest);
    let path_waits = format!("WaitingFor: path:{}: there is nothing", path.display());
    let socket_waits = format!("WaitingFor: socket:{}: there is no", socket.display());
    wait_status(&agent, &[&path_waits, &socket_waits]);
    let explained = agent.setlet(&["explain", "files"]);
    assert!(explained.contains(&path_waits), "{explained}");
    agent.wait_for(SOON, "the image is pulled meanwhile", || {
        let images = containerd.ctr(&["images", "ls", "-q"]);
        if images.contains(image) {
            Ok(())
        } else {
            Err(images)
        }
    });
    assert!(agent.containers().is_empty(), "nothing is started");

    std::fs::create_dir_all(&path).expect("the path");
    wait_status(&agent, &[&socket_waits]);
    assert!(agent.containers().is_empty(), "the socket is missing still");
    let listener = UnixListener::bind(&socket).expect("the socket");
    let took = until_running(&agent, "files");
    assert!(took < AT_ONCE, "{took:?}");

    // What goes away later ends nothing.
    drop(listener);
    std::fs::remove_file(&socket).expect("remove the socket");
    let before = agent.running_of("files");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(agent.running_of("files"), before);
    let status = agent.setlet(&["status"]);
    assert!(!status.contains("WaitingFor"), "{status}");
}

fn another_set(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "order-sets");
    agent.ready();
    agent.put("top.yaml", &follower("top", "base"));
    wait_status(
        &agent,
        &["WaitingFor: set default/base: there is no such set"],
    );
    let probe = "readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}";
    let base = Set {
        container: &[probe],
        ..sleeper("base")
    };
    agent.put("base.yaml", &base.yaml());
    agent.wait_running("base", 1);
    wait_status(
        &agent,
        &["WaitingFor: set default/base: it has no ready pod"],
    );
    assert!(agent.running_of("top").is_empty());
    let ready = |command: &str| {
        let base = agent.wait_running("base", 1).remove(0);
        let exec = ["tasks", "exec", "--exec-id", command, &base.id, command];
        containerd.ctr(&[&exec[..], &["/tmp/ready"]].concat());
    };
    ready("touch");
    let took = until_running(&agent, "top");
    assert!(took < AT_ONCE, "{took:?}");

    let before = agent.running_of("top");
    ready("rm");
    agent.wait_for(SOON, "base is not ready any more", || {
        let pods = agent.setlet(&["get", "pods"]);
        let base = pods.lines().find(|line| line.starts_with("base-"));
        match base {
            Some(line) if line.contains("0/1") => Ok(()),
            _ => Err(pods),
        }
    });
    agent.kill9();
    agent.start();
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("top"), before, "a pod that runs goes on");
}

fn ends_in_reverse(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "order-ends");
    agent.put("base.yaml", &sleeper("base").yaml());
    let slow = "trap 'sleep 3; exit 0' TERM; echo up; while :; do sleep 1; done";
    let annotation = ["setlet.dev/after: base"];
    let top = Set {
        script: slow,
        annotations: &annotation,
        ..sleeper("top")
    };
    agent.put("top.yaml", &top.yaml());
    let base = agent.wait_running("base", 1);
    agent.wait_running("top", 1);
    agent.ready();
    // In this order: a base that goes first goes alone.
    agent.remove("top.yaml");
    agent.remove("base.yaml");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("base"), base, "top has not ended");
    // The order is known although neither manifest is there.
    agent.kill9();
    agent.start();
    agent.wait_for(SOON, "both have ended, top before base", || {
        let top = agent.running_of("top").len();
        let base = agent.running_of("base").len();
        assert!(
            top == 0 || base == 1,
            "base ended first\n{}",
            agent.log_tail()
        );
        match (top, base) {
            (0, 0) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    });
    agent.wait_empty();
}

fn manifests_are_late(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "order-late");
    let path = agent.dir().join("x");
    agent.put(
        "a.yaml",
        &follower("late", &format!("path:{}", path.display())),
    );
    wait_status(&agent, &["WaitingFor: path:"]);
    agent.kill9();
    // As at a boot before the share with the manifests is there, of an agent without copies.
    let (manifests, away) = (agent.manifest(""), agent.dir().join("away"));
    std::fs::rename(&manifests, &away).expect("take the manifests away");
    std::fs::remove_dir_all(agent.dir().join("state/last-good")).expect("remove the copies");
    agent.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(
        agent.containers().is_empty(),
        "its record says what it waits for"
    );
    std::fs::write(&path, "").expect("the path");
    let took = until_running(&agent, "late");
    assert!(took < AT_ONCE, "{took:?}");
    let before = agent.running_of("late");
    std::fs::rename(&away, &manifests).expect("bring the manifests back");
    agent.ready();
    assert_eq!(agent.running_of("late"), before);
}

fn a_cycle_is_named(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "order-cycle");
    agent.put("runs.yaml", &sleeper("runs").yaml());
    let before = agent.wait_running("runs", 1);
    agent.put("loop.yaml", &follower("loop", "knot"));
    agent.put("knot.yaml", &follower("knot", "runs, loop"));
    let way = "default/knot -> default/loop -> default/knot";
    let status = wait_status(&agent, &[way]);
    assert!(status.matches(way).count() >= 2, "both say it: {status}");
    let manifests = agent.manifest("").display().to_string();
    let checked = agent.try_setlet(&["check", &manifests]);
    let line = format!(
        "loop.yaml:1:1: metadata.annotations[setlet.dev/after]: sets wait for each other: {way}"
    );
    assert_eq!(checked.code, Some(1));
    assert!(checked.stderr.contains(&line), "{}", checked.stderr);

    // The set that runs joins in, and is changed: it goes on as it was.
    let joined = follower("runs", "loop").replace("echo up", "echo changed");
    agent.put("runs.yaml", &joined);
    wait_status(&agent, &["default/knot -> default/runs", way]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("runs"), before);
    assert_eq!(agent.containers().len(), 2, "none of the others is started");

    agent.put("knot.yaml", &sleeper("knot").yaml());
    for set in ["knot", "loop", "runs"] {
        agent.wait_running(set, 1);
    }
}

fn what_cannot_come_is_named(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "order-never");
    let away = Set {
        pod: &["nodeSelector: {nowhere: 'yes'}"],
        ..sleeper("away")
    };
    agent.put("away.yaml", &away.yaml());
    let unit = "unit:setlet-trial-nowhere.service";
    agent.put("top.yaml", &follower("top", &format!("away, {unit}")));
    agent.put("wrong.yaml", &follower("wrong", "path:run/x"));
    let why = if std::path::Path::new("/run/systemd/system").is_dir() {
        "systemd says that it is inactive"
    } else {
        "systemd does not run on this machine"
    };
    wait_status(
        &agent,
        &[
            "WaitingFor: set default/away: it is not for this node",
            &format!("WaitingFor: {unit}: {why}"),
            "metadata.annotations[setlet.dev/after]",
            "the path must be absolute",
        ],
    );
    assert!(agent.containers().is_empty());
}

fn an_update_waits(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "order-update");
    let path = agent.dir().join("x");
    std::fs::write(&path, "").expect("the path");
    let old = follower("kept", &format!("path:{}", path.display()));
    agent.put("a.yaml", &old);
    let before = agent.wait_running("kept", 1);
    std::fs::remove_file(&path).expect("remove the path");
    agent.put("a.yaml", &old.replace("echo up", "echo new"));
    wait_status(&agent, &["WaitingFor: path:"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("kept"), before, "the old one goes on");
    std::fs::write(&path, "").expect("the path");
    agent.wait_for(AT_ONCE, "the new one runs", || {
        let running = agent.running_of("kept");
        let log = running.first().map(|one| agent.container_log(one));
        match log {
            Some(log) if log.ends_with(" new\n") => Ok(()),
            log => Err(format!("{log:?}")),
        }
    });
}

/// Where the set that is waited for is updated in the same instant and does not become ready, the pod
/// that runs goes on, with a host port too: then the new one has no sandbox before the old one ends.
fn updates_of_both(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "order-both");
    let base = sleeper("base");
    let never = Set {
        container: &["readinessProbe: {exec: {command: [\"false\"]}, periodSeconds: 1}"],
        ..sleeper("base")
    };
    let port = |script| {
        let set = Set {
            script,
            annotations: &["setlet.dev/after: base"],
            container: &["ports: [{containerPort: 80, hostPort: 39471}]"],
            ..sleeper("top")
        };
        set.yaml()
    };
    let plain = follower("plain", "base");
    agent.put(
        "all.yaml",
        &[base.yaml(), plain.clone(), port(base.script)].join("---\n"),
    );
    let before = ["plain", "top"].map(|set| agent.wait_running(set, 1));
    let old = agent.wait_running("base", 1);
    let new = [
        never.yaml(),
        plain.replace("echo up", "echo new"),
        port(never.script).replace("echo up", "echo new"),
    ];
    agent.put("all.yaml", &new.join("---\n"));
    agent.wait_for(SOON, "the base is another one", || {
        match agent.running_of("base").as_slice() {
            [one] if one.id != old[0].id => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    wait_status(
        &agent,
        &["WaitingFor: set default/base: it has no ready pod"],
    );
    std::thread::sleep(Duration::from_secs(2));
    let now = ["plain", "top"].map(|set| agent.running_of(set));
    assert_eq!(now, before, "the old pods go on\n{}", agent.log_tail());
    agent.put(
        "all.yaml",
        &[base.yaml(), new[1].clone(), new[2].clone()].join("---\n"),
    );
    for set in ["plain", "top"] {
        agent.wait_for(SOON, &format!("{set} is updated"), || {
            let running = agent.running_of(set);
            let log = running.first().map(|one| agent.container_log(one));
            match log {
                Some(log) if log.ends_with(" new\n") => Ok(()),
                log => Err(format!("{log:?}")),
            }
        });
    }
}
