//! The agent as a service: what it tells the service manager, and what its socket answers.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::sleeper;
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("service::notifies_its_manager", notifies_its_manager);
    suite.together(
        "service::is_started_without_a_runtime",
        is_started_without_a_runtime,
    );
    suite.together(
        "service::the_socket_and_its_paths",
        the_socket_and_its_paths,
    );
    suite.together(
        "service::modes_do_not_depend_on_the_umask",
        modes_do_not_depend_on_the_umask,
    );
    suite.together("service::logs_as_kubectl", logs_as_kubectl);
    suite.together(
        "service::one_agent_a_state_directory",
        one_agent_a_state_directory,
    );
    suite.together("service::a_bad_configuration", a_bad_configuration);
    suite.together("service::the_log_level_is_followed", log_level);
}

/// A level in the configuration takes effect at once, up and down.
fn log_level(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "level");
    agent.ready();
    let debugged = |agent: &Agent| agent.log_tail().matches(" DEBUG ").count();
    assert_eq!(debugged(&agent), 0, "{}", agent.log_tail());
    agent.config["log"] = serde_json::json!({"level": "debug"});
    agent.reload();
    agent.put("a.yaml", &sleeper("told").yaml());
    agent.wait_running("told", 1);
    agent.wait_for(SOON, "details are logged", || match debugged(&agent) {
        0 => Err(agent.log_tail()),
        _ => Ok(()),
    });
    agent.config["log"] = serde_json::json!({"level": "error"});
    agent.reload();
    agent.put("bad.yaml", "kind: [");
    agent.wait_for(SOON, "the file is refused", || {
        let status = agent.setlet(&["status"]);
        if status.contains("bad.yaml") {
            Ok(())
        } else {
            Err(status)
        }
    });
    let log = agent.log_tail();
    assert!(!log.contains("bad.yaml"), "{log}");
}

/// The messages a service manager would have read until one has all of `wanted`.
fn heard(socket: &UnixDatagram, wanted: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    while !wanted
        .iter()
        .all(|part| all.iter().any(|said| said.contains(part)))
    {
        let read = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("not heard: {wanted:?}; {error}; heard {all:?}"));
        all.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
    }
    all
}

fn notifies_its_manager(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "notify");
    let path = agent.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    agent.env = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "2000000".to_owned()),
    ];
    agent.put("a.yaml", &sleeper("noted").yaml());
    agent.start();
    heard(
        &socket,
        &["READY=1", "STATUS=1 DaemonSets, 1 running", "WATCHDOG=1"],
    );
    // An idle agent goes on beating, from its coordinator.
    for _ in 0..3 {
        heard(&socket, &["WATCHDOG=1"]);
    }
    // A reload is over for its manager when the configuration was read.
    agent.reload();
    let said = heard(&socket, &["RELOADING=1", "READY=1"]);
    let begins = |word: &str| said.iter().position(|text| text.contains(word));
    assert!(begins("RELOADING=1") < begins("READY=1"), "{said:?}");
    assert!(
        said.iter()
            .any(|text| text.contains("RELOADING=1") && text.contains("MONOTONIC_USEC=")),
        "{said:?}"
    );
    let (status, took) = agent.term();
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{status} {took:?}"
    );
    heard(&socket, &["STOPPING=1"]);
}

/// A machine whose runtime is installed later, or is late: a manager that waited for it would end the
/// agent.
fn is_started_without_a_runtime(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "noruntime");
    let path = agent.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    agent.env = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let missing = agent.dir().join("no-runtime.sock");
    agent.config["containerRuntimeEndpoint"] =
        serde_json::json!(format!("unix://{}", missing.display()));
    agent.start();
    heard(&socket, &["READY=1", "no-runtime.sock"]);
    let status = agent.setlet(&["status"]);
    assert!(status.contains("not ready"), "{status}");
}

fn the_socket_and_its_paths(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "socket");
    agent.put("a.yaml", &sleeper("served").yaml());
    agent.wait_running("served", 1);
    agent.ready();
    let mode = std::fs::metadata(agent.socket())
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let (status, body) = agent.http("/healthz").expect("an answer");
    assert_eq!((status, body.as_str()), (200, "ok"));
    let set = agent
        .json("/apis/apps/v1/namespaces/default/daemonsets/served")
        .expect("the set");
    assert_eq!(set["kind"], "DaemonSet");
    let sets = agent.json("/apis/apps/v1/daemonsets").expect("the sets");
    assert_eq!(
        (&sets["kind"], sets["items"].as_array().map(Vec::len)),
        (&"DaemonSetList".into(), Some(1))
    );
    let node = agent.json("/api/v1/nodes/socket").expect("the node");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "linux");
    let (status, body) = agent
        .http("/api/v1/namespaces/default/pods/nobody")
        .expect("an answer");
    assert!(
        status == 404 && body.contains("\"reason\":\"NotFound\""),
        "{status} {body}"
    );
    agent.wait_for(SOON, "the gauges follow", || {
        let (_, metrics) = agent.http("/metrics")?;
        let wanted = "setlet_pods{state=\"running\"} 1";
        if metrics.contains(wanted) {
            Ok(())
        } else {
            Err(metrics)
        }
    });
}

fn modes_do_not_depend_on_the_umask(containerd: &Arc<Containerd>) {
    for (node, umask) in [("open", "000"), ("closed", "077")] {
        let mut agent = Agent::new(containerd, &format!("umask-{node}"));
        agent.umask = umask;
        agent.start();
        agent.put("a.yaml", &sleeper("modes").yaml());
        agent.wait_running("modes", 1);
        for (path, wanted) in [
            ("run", 0o755),
            ("run/setlet.sock", 0o660),
            ("images", 0o755),
            ("log", 0o755),
            ("log/pods", 0o755),
            ("log/containers", 0o755),
            ("state", 0o700),
        ] {
            let found = std::fs::metadata(agent.dir().join(path)).expect(path);
            let mode = found.permissions().mode() & 0o7777;
            assert_eq!(mode, wanted, "{path} is {mode:o} with umask {umask}");
        }
    }
}

fn logs_as_kubectl(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "logs");
    let script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 2; echo last; exit 1";
    agent.put(
        "a.yaml",
        &crate::set::Set {
            script,
            ..sleeper("talks")
        }
        .yaml(),
    );
    agent.wait_running("talks", 1);
    // containerd knows that it runs a moment before the agent does.
    let followed = agent.wait_for(SOON, "its log is followed to the end", || {
        let answer = agent.try_setlet(&["logs", "-f", "ds/talks", "-c", "main"]);
        if answer.code == Some(0) {
            Ok(answer.stdout)
        } else {
            Err(answer.stderr)
        }
    });
    assert!(followed.ends_with("line 5\nlast\n"), "{followed}");
    agent.wait_for(SOON, "the one before the restart", || {
        let previous = agent.try_setlet(&["logs", "-p", "ds/talks", "--tail", "2"]);
        if previous.stdout == "line 5\nlast\n" {
            Ok(())
        } else {
            Err(format!("{previous:?}"))
        }
    });
    let since = agent.setlet(&["logs", "-p", "ds/talks", "--since", "1h", "--timestamps"]);
    assert_eq!(since.lines().count(), 6, "{since}");
    assert!(since.starts_with("20"), "{since}");
    let answer = agent.try_setlet(&["logs", "nobody"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
}

fn one_agent_a_state_directory(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "alone");
    agent.ready();
    let config = agent.config_file().display().to_string();
    let second = agent.try_setlet(&["run", "--config", &config]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.stderr.contains(&agent.pid().to_string()),
        "it names the other: {second:?}"
    );
}

fn a_bad_configuration(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "badconfig");
    agent.config["nodeLabel"] = serde_json::json!({"a": "b"});
    agent.write_config();
    let config = agent.config_file().display().to_string();
    let refused = agent.try_setlet(&["run", "--config", &config]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("config.yaml") && refused.stderr.contains("nodeLabel"),
        "{refused:?}"
    );
}
