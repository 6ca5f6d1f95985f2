//! What the agent does with fewer events than it would like: of a runtime that is not containerd, and
//! of a directory that changes faster than they can be read.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::agent::SOON;
use crate::harness::proxy::Proxy;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("events::of_another_runtime", of_another_runtime);
    suite.together("events::that_overflow", that_overflow);
}

/// A runtime that says it is not containerd, and has none of containerd's services: CRI's own events
/// are used where there are any (from containerd 1.7 on), and lists where not.
fn of_another_runtime(containerd: &Arc<Containerd>) {
    let proxy = Proxy::start(containerd, "other");
    proxy.disguise();
    let mut agent = Agent::new(containerd, "other");
    agent.through(&proxy);
    agent.put("a.yaml", &sleeper("plain").yaml());
    agent.start();
    let first = agent.wait_running("plain", 1).remove(0);
    agent.ready();
    assert!(
        agent.setlet(&["status"]).contains("other 1.2.3"),
        "its name"
    );
    assert!(
        proxy.count("GetContainerEvents") > 0,
        "CRI's events are asked for"
    );
    // The subscription is in force, and everything was looked at again because of it.
    std::thread::sleep(Duration::from_secs(6));
    let pid = i32::try_from(first.pid.expect("it runs")).expect("a process id");
    let start = Instant::now();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the container");
    let second = agent.wait_for(SOON, "the container is back", || {
        let running = agent.running_of("plain");
        match running.as_slice() {
            [one] if one.id != first.id => Ok(one.clone()),
            _ => Err(format!("{running:?}")),
        }
    });
    let took = start.elapsed();
    let has_events = !containerd.ctr(&["version"]).contains("1.6.");
    let most = Duration::from_secs(if has_events { 4 } else { 10 });
    assert!(took < most, "{took:?}\n{}", agent.log_tail());

    let changed = Set {
        script: "trap 'exit 0' TERM; echo changed; while :; do sleep 1; done",
        ..sleeper("plain")
    };
    agent.put("a.yaml", &changed.yaml());
    agent.wait_for(SOON, "the pod is replaced", || {
        let running = agent.running_of("plain");
        match running.as_slice() {
            [one] if one.pod() != second.pod() => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
    agent.remove("a.yaml");
    agent.wait_empty();
}

/// The kernel keeps a bounded number of events for a reader that is busy, and drops what comes after
/// with a word: then all is read again, long before the rescan.
fn that_overflow(containerd: &Arc<Containerd>) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("the limit");
    let limit: usize = limit.trim().parse().expect("a number");
    let mut agent = Agent::new(containerd, "overflow");
    agent.config["manifests"]["rescanInterval"] = Value::from("1h");
    agent.put("stays.yaml", &sleeper("stays").yaml());
    agent.start();
    let stays = agent.wait_running("stays", 1);
    agent.ready();
    agent.signal(Signal::SIGSTOP);
    let (one, other) = (agent.manifest("a.bak"), agent.manifest("b.bak"));
    fs::write(&one, "").expect("a file");
    // Four events each time, twice as many as there is room for.
    for _ in 0..limit / 2 {
        fs::rename(&one, &other).expect("a rename");
        fs::rename(&other, &one).expect("a rename");
    }
    // Of this no event is told any more.
    agent.put("late.yaml", &sleeper("late").yaml());
    agent.signal(Signal::SIGCONT);
    agent.wait_running("late", 1);
    agent.wait_for(SOON, "the overflow is counted", || {
        let (_, metrics) = agent.http("/metrics")?;
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.starts_with("setlet_manifests_event_overflows"));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        if count.is_some_and(|count| count >= 1.0) {
            Ok(())
        } else {
            Err(format!("{line:?}"))
        }
    });
    assert_eq!(agent.running_of("stays"), stays);
}
