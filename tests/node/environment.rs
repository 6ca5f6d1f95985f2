//! What a container is started with: its environment, its names and addresses, and what came before
//! it in its pod.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::{DONE, assert_lines, report};
use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("environment::of_every_source", of_every_source);
    suite.together("environment::names_and_addresses", names_and_addresses);
    suite.together("environment::one_process_namespace", one_process_namespace);
    suite.together(
        "environment::containers_in_their_order",
        containers_in_their_order,
    );
    suite.together(
        "environment::an_init_container_that_fails",
        an_init_container_that_fails,
    );
    suite.together(
        "environment::the_last_end_is_remembered",
        the_last_end_is_remembered,
    );
}

const OBJECTS: &str = "\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {A: from-map, B: two}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {S: c2VjcmV0}
";

fn of_every_source(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "env-sources");
    let script = format!("env; echo \"arg $0 $1\"; {DONE}");
    let from = "envFrom: [{prefix: P_, configMapRef: {name: c}}, {secretRef: {name: s}}, \
                {configMapRef: {name: absent, optional: true}}]";
    let env = "env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, \
        {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, \
        {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, \
        {name: APP, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}, \
        {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}, \
        {name: KEY, valueFrom: {configMapKeyRef: {name: c, key: A}}}, \
        {name: SEC, valueFrom: {secretKeyRef: {name: s, key: S}}}, \
        {name: NONE, valueFrom: {secretKeyRef: {name: s, key: absent, optional: true}}}, \
        {name: JOINED, value: \"$(KEY)-$(SEC)-$$(KEY)-$(LATER)-$(P_B)\"}, {name: LATER, value: x}]";
    let set = Set {
        script: &script,
        container: &[
            from,
            env,
            "args: [\"$(KEY)\", \"$$(KEY)\"]",
            "resources: {limits: {memory: 32Mi}}",
        ],
        ..sleeper("env")
    };
    agent.put("a.yaml", &format!("{}{OBJECTS}", set.yaml()));
    let (main, text) = report(&agent, "env");
    assert_lines(
        &text,
        &[
            "P_A=from-map",
            "P_B=two",
            "S=secret",
            "NODE=env-sources",
            &format!("POD={}", main.pod()),
            "APP=env",
            "LIMIT=32",
            "KEY=from-map",
            "SEC=secret",
            "JOINED=from-map-secret-$(KEY)-$(LATER)-two",
            "arg from-map $(KEY)",
        ],
    );
    assert!(!text.contains("NONE="), "{text}");
    let ip = text.lines().find_map(|line| line.strip_prefix("IP="));
    let ip = ip.expect("an address");
    let pods = agent.setlet(&["get", "pods", "-o", "wide"]);
    assert!(!ip.is_empty() && pods.contains(ip), "{ip:?} in {pods}");
}

fn names_and_addresses(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "env-names");
    let script = format!("hostname; cat /etc/hosts /etc/resolv.conf; {DONE}");
    let own = Set {
        script: &script,
        pod: &[
            "hostname: own",
            "subdomain: sub",
            "hostAliases: [{ip: 10.9.8.7, hostnames: [alias.test, other.test]}]",
            "dnsPolicy: None",
            "dnsConfig: {nameservers: [192.0.2.53], searches: [a.test], options: [{name: ndots, value: '3'}]}",
        ],
        ..sleeper("names")
    };
    agent.put("a.yaml", &own.yaml());
    let host = Set {
        script: &script,
        pod: &[
            "hostNetwork: true",
            "hostAliases: [{ip: 10.9.8.7, hostnames: [alias.test]}]",
        ],
        ..sleeper("host")
    };
    agent.put("b.yaml", &host.yaml());
    let (_, text) = report(&agent, "names");
    assert_lines(
        &text,
        &[
            "own",
            "127.0.0.1\tlocalhost",
            "10.9.8.7\talias.test\tother.test",
            "nameserver 192.0.2.53",
            "search a.test",
            "options ndots:3",
        ],
    );
    assert!(
        text.lines().any(|line| line.ends_with("\town")),
        "its own address: {text}"
    );
    let (_, text) = report(&agent, "host");
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").expect("the hostname");
    assert_lines(&text, &[hostname.trim(), "10.9.8.7\talias.test"]);
    let resolv = fs::read_to_string("/etc/resolv.conf").expect("resolv.conf");
    let servers: Vec<_> = resolv
        .lines()
        .filter(|line| line.starts_with("nameserver"))
        .collect();
    assert_lines(&text, &servers);
}

fn one_process_namespace(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "env-share");
    let script = format!("echo own=`grep -c own= /proc/1/cmdline`; {DONE}");
    let shared = Set {
        script: &script,
        pod: &["shareProcessNamespace: true"],
        ..sleeper("shared")
    };
    agent.put("a.yaml", &shared.yaml());
    let apart = Set {
        script: &script,
        ..sleeper("apart")
    };
    agent.put("b.yaml", &apart.yaml());
    let (_, text) = report(&agent, "shared");
    assert_lines(&text, &["own=0"]);
    let (_, text) = report(&agent, "apart");
    assert_lines(&text, &["own=1"]);
}

/// Init containers one after another, a sidecar before the main container, and all of it backwards.
fn containers_in_their_order(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "env-order");
    let shared = agent.dir().join("shared");
    fs::create_dir(&shared).expect("a directory");
    let volume = format!(
        "volumes: [{{name: v, hostPath: {{path: {}}}}}]",
        shared.display()
    );
    let mount = "volumeMounts: [{name: v, mountPath: /v}]";
    let step = |name: &str, more: &str, script: &str| {
        format!(
            "{{name: {name}, image: docker.io/library/busybox:latest, imagePullPolicy: IfNotPresent, \
             {more}{mount}, command: [sh, -c, {script:?}]}}"
        )
    };
    let stays = |name: &str| {
        format!(
            "trap 'echo {name}-ends >>/v/log; exit 0' TERM; echo {name} >>/v/log; while :; do sleep 0.2; done"
        )
    };
    let init = format!(
        "initContainers: [{}, {}, {}, {}]",
        step("one", "", "sleep 1; echo one >>/v/log"),
        step("side", "restartPolicy: Always, ", &stays("side")),
        step("two", "", "sleep 1; echo two >>/v/log"),
        step("last", "restartPolicy: Always, ", &stays("last")),
    );
    let main = stays("main");
    let set = Set {
        script: &main,
        pod: &[&volume, &init],
        container: &[mount],
        ..sleeper("ordered")
    };
    agent.put("a.yaml", &set.yaml());
    let log = || fs::read_to_string(shared.join("log")).unwrap_or_default();
    let wait = |expected: &str| {
        agent.wait_for(SOON, expected, || {
            let log = log().replace('\n', " ");
            if log == expected { Ok(()) } else { Err(log) }
        });
    };
    wait("one side two last main ");
    agent.wait_running("ordered", 3);
    agent.remove("a.yaml");
    agent.wait_empty();
    wait("one side two last main main-ends last-ends side-ends ");
}

fn an_init_container_that_fails(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "env-init");
    let shared = agent.dir().join("shared");
    fs::create_dir(&shared).expect("a directory");
    let volume = format!(
        "volumes: [{{name: v, hostPath: {{path: {}}}}}]",
        shared.display()
    );
    let init = "initContainers: [{name: first, image: docker.io/library/busybox:latest, \
        imagePullPolicy: IfNotPresent, volumeMounts: [{name: v, mountPath: /v}], \
        command: [sh, -c, 'test -e /v/go']}]";
    let set = Set {
        pod: &[&volume, init],
        annotations: &["setlet.dev/backoff: 'initial=1s,max=2s,reset=1m'"],
        ..sleeper("waits")
    };
    agent.put("a.yaml", &set.yaml());
    agent.ready();
    agent.wait_for(SOON, "it says what keeps it", || {
        let pods = agent.setlet(&["get", "pods"]);
        if pods.contains("Init:CrashLoopBackOff") {
            Ok(())
        } else {
            Err(pods)
        }
    });
    assert!(agent.running_of("waits").is_empty());
    fs::write(shared.join("go"), "").expect("a file");
    agent.wait_running("waits", 1);
}

fn the_last_end_is_remembered(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "env-last");
    let shared = agent.dir().join("shared");
    fs::create_dir(&shared).expect("a directory");
    let volume = format!(
        "volumes: [{{name: v, hostPath: {{path: {}}}}}]",
        shared.display()
    );
    let set = Set {
        script: "if mkdir /v/was; then echo told on the way out >/dev/termination-log; exit 3; fi; \
                 trap 'exit 0' TERM; while :; do sleep 1; done",
        pod: &[&volume],
        container: &["volumeMounts: [{name: v, mountPath: /v}]"],
        ..sleeper("ended")
    };
    agent.put("a.yaml", &set.yaml());
    let state = |agent: &Agent| {
        agent.wait_for(SOON, "it runs again, and its first end is known", || {
            let pods = agent.json("/api/v1/pods")?;
            let status = &pods["items"][0]["status"]["containerStatuses"][0];
            let last = &status["lastState"]["terminated"];
            let is_known = last["exitCode"] == 3
                && last["reason"] == "Error"
                && last["message"] == "told on the way out\n"
                && status["restartCount"] == 1
                && status["state"]["running"].is_object();
            if is_known {
                Ok(last.clone())
            } else {
                Err(status.to_string())
            }
        })
    };
    let before = state(&agent);
    agent.kill9();
    agent.start();
    assert_eq!(state(&agent), before);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&agent), before);
}
