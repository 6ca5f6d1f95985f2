//! Events as their readers see them: that a start, a pull that fails, a volume that cannot be had, a
//! probe that fails and a crash are told of in kubelet's words, counted, selected and described.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("events::a_good_start_and_end", a_good_start_and_end);
    suite.together("events::an_image_that_cannot_be_pulled", a_bad_image);
    suite.together("events::a_volume_that_cannot_be_had", a_bad_volume);
    suite.together("events::a_liveness_probe_that_fails", unhealthy);
    suite.together("events::a_crash_is_counted", a_crash);
    suite.together("events::hooks_that_fail", hooks_that_fail);
    suite.together("events::a_refused_edit", a_refused_edit);
    suite.together("events::a_watch_tells_of_them", a_watch_tells_of_them);
}

/// The events about objects whose name begins like this, `Type Reason: Message`, in order.
fn events(agent: &Agent, prefix: &str) -> Vec<(String, u64)> {
    let list = agent.json("/api/v1/events").unwrap_or_default();
    let all = list["items"].as_array().cloned().unwrap_or_default();
    let of_it = |event: &&Value| {
        let name = event["involvedObject"]["name"].as_str().unwrap_or_default();
        name.starts_with(prefix)
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |event: &Value| {
        let line = format!(
            "{} {}: {}",
            text(&event["type"]),
            text(&event["reason"]),
            text(&event["message"])
        );
        (line, event["count"].as_u64().unwrap_or_default())
    };
    all.iter().filter(of_it).map(line).collect()
}

/// Waits until there are events that begin like these, each at least so often.
fn wait_events(agent: &Agent, prefix: &str, limit: Duration, wanted: &[(&str, u64)]) {
    agent.wait_for(limit, &format!("events {wanted:?}"), || {
        let told = events(agent, prefix);
        let is_told = |(line, count): &(&str, u64)| {
            told.iter()
                .any(|(known, times)| known.starts_with(line) && times >= count)
        };
        if wanted.iter().all(is_told) {
            Ok(())
        } else {
            Err(format!("{told:#?}"))
        }
    });
}

fn a_good_start_and_end(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-good");
    agent.ready();
    agent.put("good.yaml", &sleeper("good").yaml());
    agent.wait_running("good", 1);
    let present = "Normal Pulled: Container image \"docker.io/library/busybox:latest\" already \
                   present on machine and can be accessed by the pod";
    let started = [
        ("Normal SuccessfulCreate: Created pod: good-", 1),
        (present, 1),
        ("Normal Created: Container created", 1),
        ("Normal Started: Container started", 1),
    ];
    wait_events(&agent, "good", SOON, &started);
    assert_eq!(
        events(&agent, "good").len(),
        started.len(),
        "{:#?}",
        events(&agent, "good")
    );

    let table = agent.setlet(&["get", "events"]);
    assert!(
        table.starts_with("LAST SEEN   TYPE     REASON             OBJECT"),
        "{table}"
    );
    assert!(table.contains("daemonset/good"), "{table}");
    let pod = agent.setlet(&["describe", "pod", "good"]);
    assert!(
        pod.contains("spec.containers{main}: Container started"),
        "{pod}"
    );
    let set = agent.setlet(&["describe", "daemonset", "good"]);
    assert!(
        set.contains("SuccessfulCreate") && !set.contains("Started"),
        "{set}"
    );
    let node = agent.setlet(&["describe", "node", "events-good"]);
    assert!(node.contains("status is now: NodeReady"), "{node}");

    agent.remove("good.yaml");
    let ended = [
        ("Normal SuccessfulDelete: Deleted pod: good-", 1),
        ("Normal Killing: Stopping container main", 1),
    ];
    wait_events(&agent, "good", SOON, &ended);
}

fn a_bad_image(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-image");
    agent.ready();
    // Nothing listens there, so each pull fails at once.
    let image = "127.0.0.1:1/none:v1";
    let bad = Set {
        image,
        ..sleeper("bad")
    };
    agent.put("bad.yaml", &bad.yaml());
    let first = [
        ("Normal Pulling: Pulling image \"127.0.0.1:1/none:v1\"", 1),
        (
            "Warning Failed: Failed to pull image \"127.0.0.1:1/none:v1\": failed to pull and unpack",
            1,
        ),
        ("Warning Failed: Error: ErrImagePull", 1),
    ];
    wait_events(&agent, "bad", SOON, &first);
    let later = [
        (
            "Normal BackOff: Back-off pulling image \"127.0.0.1:1/none:v1\"",
            1,
        ),
        ("Warning Failed: Error: ImagePullBackOff", 1),
        ("Normal Pulling: ", 2),
        ("Warning Failed: Error: ErrImagePull", 2),
    ];
    wait_events(&agent, "bad", Duration::from_secs(45), &later);
}

fn a_bad_volume(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-volume");
    agent.ready();
    let lacking = Set {
        pod: &["volumes: [{name: conf, configMap: {name: nosuch}}]"],
        container: &["volumeMounts: [{name: conf, mountPath: /conf}]"],
        ..sleeper("lacking")
    };
    agent.put("lacking.yaml", &lacking.yaml());
    let message = "Warning FailedMount: MountVolume.SetUp failed for volume \"conf\" : configmap \
                   \"nosuch\" not found";
    wait_events(&agent, "lacking", SOON, &[(message, 2)]);
}

fn unhealthy(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-unhealthy");
    agent.ready();
    let probe = "livenessProbe: {exec: {command: [sh, -c, 'echo bad; exit 3']}, periodSeconds: 1, \
                 failureThreshold: 2}";
    let sick = Set {
        container: &[probe],
        ..sleeper("sick")
    };
    agent.put("sick.yaml", &sick.yaml());
    let told = [
        ("Warning Unhealthy: Liveness probe failed: ", 2),
        (
            "Normal Killing: Container main failed liveness probe, will be restarted",
            1,
        ),
        ("Normal Started: Container started", 2),
    ];
    wait_events(&agent, "sick", SOON, &told);
}

fn a_crash(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-crash");
    agent.ready();
    let crash = Set {
        script: "exit 1",
        annotations: &["setlet.dev/backoff: \"initial=1s,max=1s\""],
        ..sleeper("crash")
    };
    agent.put("crash.yaml", &crash.yaml());
    let told = [
        ("Normal Started: Container started", 4),
        (
            "Warning BackOff: Back-off restarting failed container main in pod crash-",
            2,
        ),
    ];
    wait_events(&agent, "crash", SOON, &told);
    let one = |name: &str| {
        let events = events(&agent, "crash");
        events
            .iter()
            .filter(|(line, _)| line.contains(name))
            .count()
    };
    assert_eq!(
        (one("BackOff"), one("Started")),
        (1, 1),
        "repeats are counted, not listed"
    );
}

fn hooks_that_fail(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-hooks");
    agent.ready();
    let hooked = Set {
        container: &[
            "lifecycle: {postStart: {exec: {command: [sh, -c, 'sleep 1; exit 4']}}, \
             preStop: {exec: {command: ['false']}}}",
        ],
        ..sleeper("hooked")
    };
    agent.put("hooked.yaml", &hooked.yaml());
    let told = [
        ("Warning FailedPostStartHook: PostStartHook failed", 1),
        ("Normal Killing: FailedPostStartHook", 1),
        ("Warning FailedPreStopHook: PreStopHook failed", 1),
    ];
    wait_events(&agent, "hooked", SOON, &told);
}

fn a_refused_edit(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-edit");
    agent.ready();
    let good = sleeper("edited").yaml();
    agent.put("edited.yaml", &good);
    agent.wait_running("edited", 1);
    agent.put("edited.yaml", &good.replace("containers:", "containerz:"));
    wait_events(&agent, "edited", SOON, &[("Warning FailedValidation: ", 1)]);
    let set = agent.setlet(&["describe", "ds", "edited"]);
    assert!(
        set.contains("the earlier version goes on") && set.contains("containerz"),
        "{set}"
    );
}

fn a_watch_tells_of_them(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "events-watch");
    agent.ready();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_setlet"))
        .args(["--socket", &agent.socket().display().to_string()])
        .args([
            "get",
            "events",
            "-w",
            "-A",
            "--field-selector",
            "involvedObject.kind=Pod",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a watch");
    agent.put("watched.yaml", &sleeper("watched").yaml());
    let lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut seen = Vec::new();
    for line in lines.map_while(Result::ok) {
        let done = line.contains("Container started");
        seen.push(line);
        if done {
            break;
        }
    }
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    assert!(seen[0].starts_with("NAMESPACE"), "{seen:#?}");
    assert!(
        seen.iter().any(|line| line.contains("Container created")),
        "{seen:#?}"
    );
}
