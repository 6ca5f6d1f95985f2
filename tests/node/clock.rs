//! The agent's time of day is set while it works, by libfaketime: waits go on for their own length.

use std::path::PathBuf;
use std::sync::Arc;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::probes::{mounted, shared, status, wait_status};
use crate::rollout::{wait_replaced, wait_said};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("clock::set_back_while_things_wait", set_back);
    suite.together("clock::set_forward_before_a_deadline", set_forward);
}

/// Seconds of ten years.
const TEN_YEARS: i64 = 315_360_000;

/// An agent whose time of day can be set; its monotonic clocks go on.
fn started(containerd: &Arc<Containerd>, node: &str) -> Agent {
    let mut agent = Agent::new(containerd, node);
    let file = agent.dir().join("offset").to_string_lossy().into_owned();
    let fixed = [
        ("LD_PRELOAD", library().to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    agent.env = fixed.map(|(name, value)| (name.to_owned(), value)).into();
    set(&agent, 0);
    agent.start();
    agent.ready();
    agent
}

/// Where Debian has the library, whatever the architecture.
fn library() -> PathBuf {
    let of = |arch: std::fs::DirEntry| arch.path().join("faketime/libfaketimeMT.so.1");
    let found = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let found = found.map(of).find(|path| path.exists());
    found.expect("libfaketimeMT.so.1, of Debian's package faketime")
}

/// Sets the agent's time of day, as an offset in seconds.
fn set(agent: &Agent, offset: i64) {
    let whole = agent.dir().join("offset.new");
    std::fs::write(&whole, format!("{offset:+}\n")).expect("write the offset");
    std::fs::rename(whole, agent.dir().join("offset")).expect("rename the offset");
}

/// Probes go on, a crashed container restarts after its back-off, and no message speaks of hours.
fn set_back(containerd: &Arc<Containerd>) {
    let agent = started(containerd, "clock-back");
    let (volume, mount) = mounted(&agent);
    let probed = Set {
        pod: &[&volume],
        container: &[
            &mount,
            "readinessProbe: {exec: {command: [test, -e, /shared/up]}, periodSeconds: 1}",
        ],
        ..sleeper("probed")
    };
    let crashing = Set {
        script: "exit 3",
        ..sleeper("crashing")
    };
    let waiting = Set {
        pod: &["volumes: [{name: late, configMap: {name: late}}]"],
        container: &["volumeMounts: [{name: late, mountPath: /late}]"],
        ..sleeper("waiting")
    };
    let up = shared(&agent).join("up");
    std::fs::write(&up, "").expect("let the probe succeed");
    agent.put("probed.yaml", &probed.yaml());
    agent.put("crashing.yaml", &crashing.yaml());
    agent.put("waiting.yaml", &waiting.yaml());
    wait_status(&agent, "probed", true, true);
    let restarts = || status(&agent, "crashing").map(|s| s["restartCount"].as_u64().unwrap_or(0));
    agent.wait_for(SOON, "it waits for its back-off", || {
        match (restarts()?, agent.running_of("crashing").len()) {
            (1.., 0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let before = restarts().expect("its restarts");

    for offset in [-100, -7200] {
        set(&agent, offset);
        std::fs::remove_file(&up).expect("let the probe fail");
        wait_status(&agent, "probed", true, false);
        std::fs::write(&up, "").expect("let the probe succeed");
        wait_status(&agent, "probed", true, true);
    }
    let explained = agent.setlet(&["explain", "crashing"]);
    for hours in ["h0m", "120m", "119m"] {
        assert!(!explained.contains(hours), "{explained}");
    }
    agent.wait_for(2 * SOON, "it restarts", || match restarts()? {
        after if after > before => Ok(()),
        after => Err(format!("{after} restarts, as before")),
    });
    let late = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\ndata: {a: b}\n";
    agent.put("late.yaml", late);
    agent.wait_running("waiting", 1);
}

const CAREFUL: &[&str] = &[
    "setlet.dev/rollback: auto",
    "setlet.dev/progress-deadline: 5m",
    "setlet.dev/backoff: 'initial=200ms,max=400ms,reset=10m'",
];

/// A revision that has become ready within its deadline is good, whatever the clock said meanwhile;
/// and which one was good last does not follow the largest time of day.
fn set_forward(containerd: &Arc<Containerd>) {
    let mut agent = started(containerd, "clock-forward");
    let first = Set {
        annotations: CAREFUL,
        spec: &["minReadySeconds: 1"],
        ..sleeper("ahead")
    };
    agent.put("a.yaml", &first.yaml());
    let running = agent.wait_running("ahead", 1);
    wait_good(&agent);

    let slow = Set {
        script: "trap 'exit 0' TERM; sleep 8 & wait $!; touch /tmp/up; while :; do sleep 1; done",
        container: &["readinessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1}"],
        ..first.clone()
    };
    agent.put("a.yaml", &slow.yaml());
    let running = wait_replaced(&agent, "ahead", &running);
    // The trial of the revision is under way; its deadline of 5 minutes is not.
    wait_status(&agent, "ahead", true, false);
    set(&agent, TEN_YEARS);
    wait_status(&agent, "ahead", true, true);
    wait_good(&agent);

    assert!(years(&agent) >= 9, "libfaketime did nothing");
    // The clock is right again, and the agent starts anew. What is good now was so later.
    agent.kill9();
    set(&agent, 0);
    agent.start();
    agent.ready();
    let third = Set {
        script: "trap 'exit 0' TERM; echo third; while :; do sleep 1; done",
        ..first.clone()
    };
    agent.put("a.yaml", &third.yaml());
    let running = wait_replaced(&agent, "ahead", &running);
    let good = running[0].label("controller-revision-hash").to_owned();
    wait_good(&agent);
    let crashing = Set {
        script: "exit 3",
        ..first
    };
    agent.put("a.yaml", &crashing.yaml());
    wait_said(&agent, "RolledBack");
    agent.wait_for(SOON, "the revision that was good last runs", || match agent
        .running_of("ahead")
        .as_slice()
    {
        [one] if one.label("controller-revision-hash") == good => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// How many years lie between the lines of the agent's log.
fn years(agent: &Agent) -> i64 {
    let log = std::fs::read_to_string(agent.dir().join("agent.log")).expect("its log");
    let years = log.lines().filter_map(|line| line.get(..4)?.parse().ok());
    let (first, last) = years.fold((i64::MAX, 0), |(first, last), year: i64| {
        (first.min(year), last.max(year))
    });
    last - first
}

fn wait_good(agent: &Agent) {
    agent.wait_for(SOON, "the revision is good", || {
        let history = agent.try_setlet(&["rollout", "history", "ahead"]).stdout;
        if history.contains("running, good") {
            Ok(())
        } else {
            Err(history)
        }
    });
}
