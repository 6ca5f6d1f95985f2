//! Probes: what they gate and what they restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container, Containerd};
use crate::health::{Health, NOT_SERVING, SERVING};
use crate::set::{Set, sleeper};
use crate::suite::Suite;
use crate::web::Web;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("probes::readiness_gates_ready", readiness_gates_ready);
    suite.together("probes::http_and_tcp_reach_the_pod", http_and_tcp);
    suite.together("probes::https_of_any_certificate", https);
    suite.together("probes::liveness_restarts", liveness_restarts);
    suite.together("probes::startup_gates_the_others", startup_gates);
    suite.together("probes::a_sidecar_gates_what_follows", a_sidecar_gates);
    suite.together(
        "probes::a_restart_of_the_agent_kills_nothing",
        agent_restarts,
    );
    suite.together("probes::a_grpc_service_is_asked", grpc);
}

/// A directory that pods of the trial may write to.
pub fn shared(agent: &Agent) -> PathBuf {
    let path = agent.dir().join("shared");
    std::fs::create_dir_all(&path).expect("a directory for the pod");
    path
}

/// The lines that put it at `/shared` in a pod and its container.
pub fn mounted(agent: &Agent) -> (String, String) {
    let path = shared(agent);
    (
        format!(
            "volumes: [{{name: shared, hostPath: {{path: {}}}}}]",
            path.display()
        ),
        "volumeMounts: [{name: shared, mountPath: /shared}]".to_owned(),
    )
}

fn the_pod(agent: &Agent, set: &str) -> Result<Value, String> {
    let pods = agent.json("/api/v1/namespaces/default/pods")?;
    let found = pods["items"].as_array().and_then(|pods| {
        let named = |pod: &&Value| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            name.rsplit_once('-').is_some_and(|(of, _)| of == set)
        };
        pods.iter().find(named).cloned()
    });
    found.ok_or_else(|| format!("no pod of {set}"))
}

pub fn status(agent: &Agent, set: &str) -> Result<Value, String> {
    let pod = the_pod(agent, set)?;
    Ok(pod["status"]["containerStatuses"][0].clone())
}

/// Waits until the first container's status has these values of `started`, `ready`.
pub fn wait_status(agent: &Agent, set: &str, started: bool, ready: bool) {
    agent.wait_for(SOON, &format!("started {started}, ready {ready}"), || {
        let status = status(agent, set)?;
        if status["started"] == started && status["ready"] == ready {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

fn wait_restarted(agent: &Agent, set: &str, before: &Container) {
    agent.wait_for(SOON, "another container runs", || {
        match agent.running_of(set).as_slice() {
            [after] if after.id != before.id => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn readiness_gates_ready(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "readiness");
    let (volume, mount) = mounted(&agent);
    let probe = "readinessProbe: {exec: {command: [test, -f, /shared/$(FILE)]}, periodSeconds: 1, failureThreshold: 1}";
    agent.put(
        "a.yaml",
        &Set {
            pod: &[&volume],
            container: &[&mount, "env: [{name: FILE, value: ok}]", probe],
            ..sleeper("gated")
        }
        .yaml(),
    );
    agent.wait_running("gated", 1);
    wait_status(&agent, "gated", true, false);
    let answer = agent.setlet(&["get", "pods"]);
    assert!(answer.contains("0/1"), "{answer}");
    let set = agent
        .json("/apis/apps/v1/namespaces/default/daemonsets/gated")
        .expect("the set");
    assert_eq!(set["status"]["numberReady"], 0, "{set}");

    std::fs::write(shared(&agent).join("ok"), "").expect("a file");
    wait_status(&agent, "gated", true, true);
    let answer = agent.setlet(&["get", "pods"]);
    assert!(answer.contains("1/1"), "{answer}");
    std::fs::remove_file(shared(&agent).join("ok")).expect("remove the file");
    wait_status(&agent, "gated", true, false);
    let pod = the_pod(&agent, "gated").expect("the pod");
    let conditions = pod["status"]["conditions"].as_array().expect("conditions");
    let ready = conditions.iter().find(|c| c["type"] == "Ready");
    let ready = ready.expect("the condition Ready");
    assert_eq!(ready["status"], "False");
    assert_eq!(ready["reason"], "ContainersNotReady");
    let status = status(&agent, "gated").expect("the status");
    assert_eq!(
        status["restartCount"], 0,
        "not ready is no reason to restart"
    );
}

fn http_and_tcp(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "network-probes");
    let script = "echo fine >/tmp/index.html; exec httpd -f -p 8080 -h /tmp";
    let port = "ports: [{name: web, containerPort: 8080}]";
    let probes = [
        (
            "byhttp",
            "readinessProbe: {httpGet: {port: web, path: /index.html}, periodSeconds: 1}",
            true,
        ),
        (
            "nopage",
            "readinessProbe: {httpGet: {port: web, path: /none}, periodSeconds: 1}",
            false,
        ),
        (
            "bytcp",
            "readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}",
            true,
        ),
        (
            "notcp",
            "readinessProbe: {tcpSocket: {port: 8081}, periodSeconds: 1}",
            false,
        ),
        (
            "nogrpc",
            "readinessProbe: {grpc: {port: 8080}, periodSeconds: 1}",
            false,
        ),
    ];
    for (name, probe, _) in probes {
        let set = Set {
            script,
            container: &[port, probe],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &set.yaml());
    }
    for (name, _, ready) in probes {
        agent.wait_running(name, 1);
        wait_status(&agent, name, true, ready);
    }
    std::thread::sleep(Duration::from_secs(2));
    for (name, _, ready) in probes {
        wait_status(&agent, name, true, ready);
    }
}

/// Any certificate will do, and the status decides.
fn https(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "https");
    let web = Web::start_tls(&shared(&agent));
    web.answer_with(503);
    let port = web.port;
    let probe = format!(
        "readinessProbe: {{httpGet: {{port: {port}, path: '/ready?now', scheme: HTTPS, \
         httpHeaders: [{{name: Host, value: name.example}}, {{name: X-A, value: b}}]}}, periodSeconds: 1}}"
    );
    let set = Set {
        pod: &["hostNetwork: true"],
        container: &[&probe],
        ..sleeper("secure")
    };
    agent.put("a.yaml", &set.yaml());
    let pod = agent.wait_running("secure", 1).remove(0);
    agent.wait_for(SOON, "the answer is told", || {
        let told = agent.setlet(&["describe", "pod", pod.pod()]);
        if told.contains("HTTP probe failed with statuscode: 503") {
            Ok(())
        } else {
            Err(told)
        }
    });
    wait_status(&agent, "secure", true, false);
    web.answer_with(399);
    wait_status(&agent, "secure", true, true);
    assert_eq!(
        web.asked()[0],
        "GET /ready?now HTTP/1.1\r\nHost: name.example\r\nX-A: b\r\n\
         User-Agent: kube-probe/1.36\r\nAccept: */*"
    );
}

/// Against a real service: which one is asked, how, and what its answers mean.
fn grpc(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "grpc");
    let health = Health::start(&[("", SERVING), ("slow.Start", NOT_SERVING)]);
    let port = health.port;
    let readiness = format!(
        "readinessProbe: {{grpc: {{port: {port}, service: slow.Start}}, periodSeconds: 1}}"
    );
    let liveness =
        format!("livenessProbe: {{grpc: {{port: {port}}}, periodSeconds: 1, failureThreshold: 2}}");
    let set = Set {
        pod: &["hostNetwork: true"],
        container: &[&readiness, &liveness],
        ..sleeper("served")
    };
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("served", 1).remove(0);
    let said = "service unhealthy (responded with \"NOT_SERVING\")";
    agent.wait_for(SOON, "the answer is told", || {
        let told = agent.setlet(&["describe", "pod", before.pod()]);
        if told.contains(said) {
            Ok(())
        } else {
            Err(told)
        }
    });
    wait_status(&agent, "served", true, false);
    health.set("slow.Start", SERVING);
    wait_status(&agent, "served", true, true);
    for (path, service, headers) in health.asked() {
        assert_eq!(path, "/grpc.health.v1.Health/Check", "{service:?}");
        let header = |name: &str| headers[name].to_str().unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "application/grpc");
        assert!(header("user-agent").starts_with("kube-probe/1.36 "));
        assert!(headers.contains_key("grpc-timeout"), "{headers:?}");
    }
    let asked = |of: &str| health.asked().iter().any(|(_, service, _)| service == of);
    assert!(asked("") && asked("slow.Start"));
    assert_eq!(agent.wait_running("served", 1)[0].id, before.id);
    health.set("", NOT_SERVING);
    wait_restarted(&agent, "served", &before);
}

fn liveness_restarts(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "liveness");
    let probe = "livenessProbe: {exec: {command: [test, -f, /tmp/ok]}, periodSeconds: 1, \
                 failureThreshold: 2, terminationGracePeriodSeconds: 2}";
    agent.put(
        "a.yaml",
        &Set {
            // Deaf to SIGTERM, under a pod's grace period that is longer than the probe's.
            script: "trap '' TERM; touch /tmp/ok; sleep 4; rm /tmp/ok; while :; do sleep 1; done",
            pod: &["hostNetwork: true"],
            container: &[probe],
            ..sleeper("alive")
        }
        .yaml(),
    );
    let before = agent.wait_running("alive", 1).remove(0);
    let start = Instant::now();
    wait_restarted(&agent, "alive", &before);
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(5),
        "two failures and 2 s: {took:?}"
    );
    let status = agent.wait_for(SOON, "the restart is counted", || {
        let status = status(&agent, "alive")?;
        // A busy machine may be slow enough for the next round to have come.
        if status["restartCount"].as_u64() >= Some(1) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(
        status["lastState"]["terminated"]["exitCode"], 137,
        "{status}"
    );
}

fn startup_gates(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "startup");
    let (volume, mount) = mounted(&agent);
    let startup = "startupProbe: {exec: {command: [test, -f, /shared/up]}, periodSeconds: 1, failureThreshold: 60}";
    // Would restart the container at once if it were asked.
    let liveness = "livenessProbe: {exec: {command: [test, -f, /shared/up]}, periodSeconds: 1, failureThreshold: 1}";
    agent.put(
        "a.yaml",
        &Set {
            pod: &[&volume],
            container: &[&mount, startup, liveness],
            ..sleeper("slow")
        }
        .yaml(),
    );
    let before = agent.wait_running("slow", 1);
    wait_status(&agent, "slow", false, false);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.running_of("slow"), before);
    wait_status(&agent, "slow", false, false);
    std::fs::write(shared(&agent).join("up"), "").expect("a file");
    wait_status(&agent, "slow", true, true);
    std::fs::remove_file(shared(&agent).join("up")).expect("remove the file");
    wait_restarted(&agent, "slow", &before[0]);
}

fn a_sidecar_gates(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "sidecar");
    let (volume, mount) = mounted(&agent);
    let side = format!(
        "initContainers: [{{name: side, image: 'docker.io/library/busybox:latest', imagePullPolicy: IfNotPresent, \
         command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 1; done\"], restartPolicy: Always, {mount}, \
         startupProbe: {{exec: {{command: [test, -f, /shared/up]}}, periodSeconds: 1, failureThreshold: 60}}}}]"
    );
    agent.put(
        "a.yaml",
        &Set {
            pod: &[&volume, &side],
            ..sleeper("helped")
        }
        .yaml(),
    );
    agent.wait_running("helped", 1);
    std::thread::sleep(Duration::from_secs(2));
    let running = agent.wait_running("helped", 1);
    assert_eq!(running[0].name(), "side");
    std::fs::write(shared(&agent).join("up"), "").expect("a file");
    agent.wait_running("helped", 2);
}

fn agent_restarts(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "probes-restart");
    let probe =
        |kind: &str| format!("{kind}Probe: {{exec: {{command: ['true']}}, periodSeconds: 1}}");
    let (startup, liveness, readiness) = (probe("startup"), probe("liveness"), probe("readiness"));
    agent.put(
        "a.yaml",
        &Set {
            container: &[&startup, &liveness, &readiness],
            ..sleeper("steady")
        }
        .yaml(),
    );
    let before = agent.wait_running("steady", 1);
    wait_status(&agent, "steady", true, true);
    for _ in 0..2 {
        agent.kill9();
        agent.start();
        wait_status(&agent, "steady", true, true);
        assert_eq!(agent.running_of("steady"), before);
    }
}
