//! Kills the agent before, within and after every call of an update that changes something in the
//! runtime, and starts it again: the end is the same as without, and nothing is started twice.
//!
//! A scenario is a function that gives what is there, what is changed and how it ends; [`sweep`] does
//! the rest, on a fresh agent for each point.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::proxy::{Fault, Point, Proxy};
use crate::harness::{Agent, Containerd, wait_for};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Points that are tried at the same time.
const ABREAST: usize = 3;

/// For what must not happen any more after the end was reached.
const QUIET: Duration = Duration::from_millis(400);

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("crash_points::of_a_staged_switch", |containerd| {
        sweep(containerd, &staged_switch());
    });
    suite.together("crash_points::of_a_surge", |containerd| {
        sweep(containerd, &surge());
    });
    suite.together("crash_points::of_a_rollback", |containerd| {
        sweep(containerd, &rollback());
    });
    suite.together("crash_points::of_an_update_in_place", |containerd| {
        sweep(containerd, &in_place());
    });
}

/// What is swept.
struct Scenario {
    /// A short name, of which the agents' are made.
    name: &'static str,
    /// Brings about what is there before; the agent runs.
    begin: fn(&Agent),
    /// Says that it is there.
    begun: fn(&Agent) -> Result<(), String>,
    /// Changes it. The kills come from here on.
    change: fn(&Agent),
    /// Says that the change is done, beyond that everything is as at the end without a kill.
    done: fn(&Agent) -> Result<(), String>,
}

/// What makes a container and what starts it.
const STARTS: [&str; 2] = ["CreateContainer", "StartContainer"];

const OLD: &str = "echo old; trap 'exit 0' TERM; sleep 9999 & wait";
const NEW: &str = "echo new; trap 'exit 0' TERM; sleep 9999 & wait";

/// A surge in the pods' network: the new pod begins before the old one ends.
fn surge() -> Scenario {
    fn set(script: &str) -> String {
        let set = Set {
            script,
            spec: &["updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"],
            ..sleeper("swept")
        };
        set.yaml()
    }
    Scenario {
        name: "surge",
        begin: |agent| agent.put("a.yaml", &set(OLD)),
        begun: |agent| says(agent, " old\n"),
        change: |agent| agent.put("a.yaml", &set(NEW)),
        done: |agent| says(agent, " new\n"),
    }
}

/// A changed container in the sandbox that is there.
fn in_place() -> Scenario {
    fn set(script: &str) -> String {
        let set = Set {
            script,
            annotations: &["setlet.dev/update: in-place"],
            ..sleeper("swept")
        };
        set.yaml()
    }
    Scenario {
        name: "inplace",
        begin: |agent| agent.put("a.yaml", &set(OLD)),
        begun: |agent| says(agent, " old\n"),
        change: |agent| agent.put("a.yaml", &set(NEW)),
        done: |agent| says(agent, " new\n"),
    }
}

/// A changed command in a set on the host's network, whose image is there: the new pod is staged,
/// then the old one ends and the new one begins.
fn staged_switch() -> Scenario {
    fn set(script: &str) -> String {
        let set = Set {
            script,
            pod: &["hostNetwork: true"],
            ..sleeper("swept")
        };
        set.yaml()
    }
    Scenario {
        name: "switch",
        begin: |agent| agent.put("a.yaml", &set(OLD)),
        begun: |agent| says(agent, " old\n"),
        change: |agent| agent.put("a.yaml", &set(NEW)),
        done: |agent| says(agent, " new\n"),
    }
}

/// A revision that runs and never becomes ready gives way to the one before. Its probe asks nothing of
/// the runtime, so that the calls are the same each time.
fn rollback() -> Scenario {
    fn set<'a>(script: &'a str, container: &'a [&'a str]) -> String {
        let set = Set {
            script,
            container,
            pod: &["hostNetwork: true"],
            annotations: &[
                "setlet.dev/rollback: auto",
                "setlet.dev/progress-deadline: 3s",
            ],
            ..sleeper("swept")
        };
        set.yaml()
    }
    Scenario {
        name: "rollback",
        begin: |agent| agent.put("a.yaml", &set(OLD, &[])),
        begun: |agent| {
            let history = agent.try_setlet(&["rollout", "history", "swept"]).stdout;
            if history.contains("running, good") {
                says(agent, " old\n")
            } else {
                Err(history)
            }
        },
        change: |agent| {
            let probe = "readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 1}";
            agent.put("a.yaml", &set(NEW, &[probe]));
        },
        done: |agent| {
            let status = agent.try_setlet(&["status"]).stdout;
            if status.contains("RolledBack") {
                says(agent, " old\n")
            } else {
                Err(status)
            }
        },
    }
}

/// Whether the one container that runs has written this.
fn says(agent: &Agent, words: &str) -> Result<(), String> {
    let running = agent.running_of("swept");
    let [one] = running.as_slice() else {
        return Err(format!("{} run", running.len()));
    };
    let log = agent.container_log(one);
    if log.ends_with(words) {
        Ok(())
    } else {
        Err(log)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    /// All that containerd has of the agent's: the container's name, which a sandbox has not, the
    /// pod's revision, and whether it runs.
    left: Vec<(String, String, bool)>,
    /// How many pods the agent has on record.
    records: usize,
    /// How many calls to start a container reached containerd since the change.
    starts: usize,
    /// Whether one to make or to start a container was cut off by the kill.
    cut: bool,
}

impl End {
    fn running(&self) -> Vec<&(String, String, bool)> {
        self.left.iter().filter(|(_, _, runs)| *runs).collect()
    }
}

/// Runs the scenario without a kill, and then once for each point.
fn sweep(containerd: &Arc<Containerd>, scenario: &Scenario) {
    let (unharmed, calls) = run(containerd, scenario, None);
    assert!(
        unharmed.starts > 0,
        "the change starts something: {calls:?}"
    );
    let points: Vec<_> = (1..=calls.len())
        .flat_map(|n| [Point::Before(n), Point::Within(n), Point::After(n)])
        .collect();
    let next = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let one_by_one = || {
            let mut wrong = Vec::new();
            while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (end, seen) = run(containerd, scenario, Some((*point, &unharmed)));
                if !is_as(&end, &unharmed) {
                    wrong.push(format!("{point:?}: {end:?}, after {seen:?}"));
                }
            }
            wrong
        };
        let abreast: Vec<_> = (0..ABREAST).map(|_| scope.spawn(one_by_one)).collect();
        let ended = abreast.into_iter().map(|one| one.join());
        ended
            .flat_map(|wrong| wrong.expect("a point was tried"))
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "without a kill: {unharmed:?}, after {calls:?}\n{}",
        wrong.join("\n")
    );
}

/// Whether a run ended as it does without a kill. A start that is cut off, or the making of what is
/// started, may have failed by that: containerd refuses another for some seconds, until it has taken it
/// back, and it is then made once more beside the failed one, which is kept as any that ended.
fn is_as(end: &End, unharmed: &End) -> bool {
    if !end.cut {
        return end == unharmed;
    }
    end.running() == unharmed.running()
        && end.records == unharmed.records
        && end.left.len() <= unharmed.left.len() + 1
}

/// Runs the scenario once, with a kill at that point where there is one. Returns how it ended, and
/// the calls since the change.
fn run(
    containerd: &Arc<Containerd>,
    scenario: &Scenario,
    kill: Option<(Point, &End)>,
) -> (End, Vec<String>) {
    let name = match kill {
        None => format!("{}-unharmed", scenario.name),
        Some((Point::Before(n), _)) => format!("{}-before-{n}", scenario.name),
        Some((Point::Within(n), _)) => format!("{}-within-{n}", scenario.name),
        Some((Point::After(n), _)) => format!("{}-after-{n}", scenario.name),
    };
    let proxy = Proxy::start(containerd, &name);
    let mut agent = Agent::new(containerd, &name);
    agent.through(&proxy);
    agent.start();
    agent.ready();
    (scenario.begin)(&agent);
    agent.wait_for(SOON, &format!("{name} has begun"), || {
        (scenario.begun)(&agent)
    });

    proxy.reset();
    if let Some((point, _)) = kill {
        proxy.expect(point, Fault::Kill(agent.pid()));
    }
    (scenario.change)(&agent);
    let is_done = |agent: &Agent| {
        (scenario.done)(agent)?;
        let end = end(agent, &proxy);
        let as_unharmed = kill.is_none_or(|(_, unharmed)| end.running() == unharmed.running());
        let sandboxes = end.left.iter().filter(|(name, ..)| name.is_empty());
        if as_unharmed && (sandboxes.count(), end.records) == (1, 1) {
            Ok(())
        } else {
            Err(format!("{end:?}"))
        }
    };
    if let Some((point, _)) = kill {
        wait_for(SOON, &format!("{name}: the agent is killed"), || {
            if !agent.running() {
                return Ok(());
            }
            // A call that failed and was made again without a kill need not fail this time: then
            // there are fewer, and it is all over before the point comes.
            let is_over = is_done(&agent).is_ok();
            // Counted afterwards: a call that came meanwhile may be the one that kills.
            let calls = proxy.calls();
            if is_over && calls.len() < point.number() {
                return Ok(());
            }
            Err(format!("it runs; {calls:?}\n{}", agent.log_tail()))
        });
        if !agent.running() {
            agent.start();
        }
    }
    agent.wait_for(SOON, &format!("{name} is done"), || is_done(&agent));
    std::thread::sleep(QUIET);
    (end(&agent, &proxy), proxy.calls())
}

fn end(agent: &Agent, proxy: &Proxy) -> End {
    let mut left: Vec<_> = agent
        .containerd()
        .known(agent.containers())
        .into_iter()
        .map(|one| {
            let revision = one.label("controller-revision-hash").to_owned();
            (one.name().to_owned(), revision, one.pid.is_some())
        })
        .collect();
    left.sort();
    let records = std::fs::read_dir(agent.dir().join("state/records"));
    End {
        left,
        records: records.map(Iterator::count).unwrap_or_default(),
        starts: proxy.count("StartContainer"),
        cut: proxy
            .cut()
            .iter()
            .any(|call| STARTS.contains(&call.as_str())),
    }
}
