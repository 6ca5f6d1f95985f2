//! Runs `cri/timelines.json`: what kubelet called over minutes, as order and spacing, against the
//! planner on virtual time.
//!
//! Compared between what was done from outside (a manifest removed, a process killed): for each
//! container and the sandbox the calls in their order with attempts, timeouts and hooks; how the
//! containers follow each other when they are first started and when they are stopped; and the
//! seconds between two starts. kubelet rounds a wait up to its next look at the pod, up to 15 s
//! later, so the planner's may be that much shorter, and what it does more by the end is left out.
//! When probes were made is not compared, what they led to is.
//!
//! Differs: kubelet's back-off starts over when it is restarted, this one's does not: after that a
//! crashing container is started as kubelet did it, but not as often.
//!
//! Timelines of changed manifests, and of pods that no DaemonSet may have, are run by
//! `timelines_changed.rs`. Left out: `tl-steady-state`, which counts calls of kubelet's poll and has no
//! events; and when a log was reopened, which the node suite sees on files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use setlet::model::{DesiredPod, Goal};

use crate::cri_case::Case;
use crate::timeline_script::Script;
use crate::timeline_world::{Call, World};
use crate::{Report, read, timelines_changed};

/// kubelet looks at a pod again after 15 s at the latest, and its node was a busy one.
const LATE: f64 = 18.0;
/// The last calls of an observation are already due to its end.
pub const END: f64 = 0.1;
/// How much later than kubelet the planner may be.
pub const SLACK: f64 = 1.5;

/// Runs the file.
pub fn run(root: &Path, report: &mut Report) {
    let path = root.join("cri/timelines.json");
    let Some(Value::Array(timelines)) = read(&path, report) else {
        return;
    };
    report.file("cri/timelines.json");
    for timeline in &timelines {
        let outcome = if is_planned(timeline) {
            Some(compare(timeline))
        } else {
            timelines_changed::judge(timeline)
        };
        if let Some(outcome) = outcome {
            let name = timeline["name"].as_str().unwrap_or("?");
            report.case(name, outcome);
        }
    }
}

/// Whether a timeline is one of the planner's.
fn is_planned(timeline: &Value) -> bool {
    let spec = &timeline["pod"]["spec"];
    let always = matches!(spec["restartPolicy"].as_str(), None | Some("Always"));
    let others = ["updated", "renamed", "second file", "again"];
    let mut actions = actions(timeline);
    spec.is_object()
        && always
        && timeline["pod"]["metadata"]["uid"].is_null()
        && timeline["events"].is_array()
        && !actions.any(|(_, action)| others.iter().any(|word| action.contains(word)))
}

pub fn actions(timeline: &Value) -> impl Iterator<Item = (f64, &str)> {
    let events = timeline["events"].as_array().into_iter().flatten();
    events.filter_map(|event| {
        let action = event["what"].as_str()?.strip_prefix("action: ")?;
        Some((event["t"].as_f64()?, action))
    })
}

/// One call, of either side.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub at: f64,
    pub what: String,
    pub subject: String,
    /// What is compared of it.
    pub word: String,
}

fn compare(timeline: &Value) -> Result<(), String> {
    let node = Value::Null;
    let case = Case {
        case: timeline,
        node: &node,
    };
    let pod = case.pod()?;
    let crashes = crashing(timeline);
    let (mut want, mut have, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut restarted = false;
    let mut world = World::new(Script::of_pod(&pod));
    let begin = world.now;
    let mut pod = pod;
    let all: Vec<(f64, &str)> = actions(timeline).collect();
    for pair in all.windows(2) {
        let ((from, action), (to, next)) = (pair[0], pair[1]);
        if !do_action(&mut world, &mut pod, action) {
            return Err(format!("nobody knows what {action:?} does"));
        }
        restarted |= action.starts_with("agent started");
        let calls = world.calls.len();
        world.run(
            &Arc::new(pod.clone()),
            begin + Duration::try_from_secs_f64(to).expect("a time"),
        );
        world.now = begin + Duration::try_from_secs_f64(to).expect("a time");
        let last = next.starts_with("end of observation");
        let recorded = recorded(timeline, from, if last { to - END } else { to });
        let made = made(&world.calls[calls..], begin);
        if restarted && !crashes.is_empty() {
            errors.extend(fewer(&recorded, &made));
            break;
        }
        want.push(recorded);
        have.push(made);
        if last {
            break;
        }
    }
    for (want, have) in want.iter().zip(&have) {
        errors.extend(sequences(want, have, &crashes));
        errors.extend(order(want, have));
    }
    let flat = |events: &[Vec<Event>]| events.concat();
    let from: Vec<f64> = all.iter().map(|(at, _)| *at).collect();
    errors.extend(spacing(&flat(&want), &flat(&have), &from));
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(errors.join("\n")),
    }
}

/// Does what was done from outside; false for what is not known.
fn do_action(world: &mut World, pod: &mut DesiredPod, action: &str) -> bool {
    let signal = action.strip_prefix("signal ").and_then(|rest| {
        let (number, rest) = rest.split_once(' ')?;
        Some((number.parse().ok()?, rest))
    });
    if let Some((number, rest)) = signal {
        match rest.rsplit_once("container ") {
            Some((_, name)) => world.signal(name, number),
            None => world.kill_sandbox(None),
        }
        return true;
    }
    match action {
        "manifest written" => {}
        "manifest removed" => {
            pod.goal = Goal::End;
            Arc::make_mut(&mut pod.record).ending_since = Some(world.now);
        }
        _ if action.starts_with("container removed") => world.remove_containers(),
        _ if action.starts_with("agent stopped") => world.agent = false,
        _ if action.starts_with("agent started") => {
            world.agent = true;
            world.forget();
        }
        _ => return false,
    }
    true
}

/// The containers kubelet started more than twice: those that back off.
fn crashing(timeline: &Value) -> BTreeSet<String> {
    let starts = recorded(timeline, 0.0, f64::MAX);
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for event in starts.iter().filter(|e| e.what == "StartContainer") {
        *count.entry(event.subject.clone()).or_default() += 1;
    }
    count.retain(|_, starts| *starts > 2);
    count.into_keys().collect()
}

/// kubelet's calls of a stretch of time, without garbage collection, log rotation, repeated stops
/// and probes.
fn recorded(timeline: &Value, from: f64, to: f64) -> Vec<Event> {
    let mut stopped = BTreeSet::new();
    let events = timeline["events"].as_array().into_iter().flatten();
    let calls = events.filter_map(|event| {
        let (at, what) = (event["t"].as_f64()?, event["what"].as_str()?);
        let probe = what == "ExecSync" && event["timeout"].as_i64().is_some_and(|t| t > 0);
        let again = what == "StopPodSandbox" && !stopped.insert(event["sandbox_attempt"].as_i64());
        let others = ["action", "Remove", "Reopen"];
        if others.iter().any(|other| what.starts_with(other)) || probe || again {
            return None;
        }
        let attempt = &event["attempt"];
        let command: Vec<&str> = event["cmd"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let word = match what {
            "StopContainer" => format!("{what} {}", event["timeout"]),
            "ExecSync" => format!("{what} {}", command.join(" ")),
            "RunPodSandbox" => format!("{what} {}", event["sandbox_attempt"]),
            "StopPodSandbox" => what.to_owned(),
            _ => format!("{what} {attempt}"),
        };
        let subject = event["container"].as_str().unwrap_or("sandbox").to_owned();
        Some(Event {
            at,
            what: what.to_owned(),
            subject,
            word,
        })
    });
    calls
        .filter(|event| event.at >= from && event.at < to)
        .collect()
}

/// The planner's calls.
pub fn made(calls: &[Call], begin: Timestamp) -> Vec<Event> {
    let event = |call: &Call| Event {
        at: call.at.duration_since(begin).as_secs_f64(),
        what: call.what.to_owned(),
        subject: call.subject.clone(),
        word: match call.what {
            "StopContainer" | "ExecSync" => format!("{} {}", call.what, call.detail),
            "StopPodSandbox" => call.what.to_owned(),
            what => format!("{what} {}", call.attempt),
        },
    };
    calls.iter().map(event).collect()
}

/// Each container's calls in their order; the planner may be further in a back-off.
fn sequences(want: &[Event], have: &[Event], crashes: &BTreeSet<String>) -> Vec<String> {
    let subjects: BTreeSet<&str> = want
        .iter()
        .chain(have)
        .map(|e| e.subject.as_str())
        .collect();
    let of = |events: &[Event], subject: &str| -> Vec<String> {
        let own = events.iter().filter(|e| e.subject == subject);
        own.map(|e| e.word.clone()).collect()
    };
    let mut errors = Vec::new();
    for subject in subjects {
        let (want, have) = (of(want, subject), of(have, subject));
        let same = match crashes.contains(subject) {
            true => have.starts_with(&want),
            false => have == want,
        };
        if !same {
            errors.push(format!(
                "{subject}: want {want:?}\n{subject}: have {have:?}"
            ));
        }
    }
    errors
}

/// After a restart of the agent: the same calls, but not as many, and at least one.
fn fewer(want: &[Event], have: &[Event]) -> Option<String> {
    let words = |events: &[Event]| -> Vec<String> {
        let of_containers = events.iter().filter(|event| event.subject != "sandbox");
        of_containers.map(|event| event.word.clone()).collect()
    };
    let (want, have) = (words(want), words(have));
    let fits = !have.is_empty() && want.starts_with(&have);
    (!fits).then(|| format!("after the restart: want {want:?}\nhave {have:?}"))
}

/// In which order containers come first, and go.
fn order(want: &[Event], have: &[Event]) -> Option<String> {
    let firsts = |events: &[Event]| {
        let mut seen = BTreeSet::new();
        let mut firsts: Vec<(i64, &str)> = Vec::new();
        let mut group = 0;
        let mut last = f64::MIN;
        for event in events {
            // What begins at the same moment has no order.
            if event.at - last > 0.015 {
                group += 1;
            }
            last = event.at;
            if seen.insert((event.what.clone(), event.subject.clone())) {
                firsts.push((group, &event.word));
            }
        }
        firsts.sort_unstable();
        firsts
            .into_iter()
            .map(|(_, word)| word.to_owned())
            .collect::<Vec<_>>()
    };
    let names = |events: &[Event]| {
        let of_pod: Vec<Event> = events
            .iter()
            .filter(|e| matches!(e.what.as_str(), "StartContainer" | "StopContainer"))
            .map(|e| Event {
                word: format!("{} {}", e.what, e.subject),
                ..e.clone()
            })
            .collect();
        firsts(&of_pod)
    };
    let (want, have) = (names(want), names(have));
    (want != have).then(|| format!("order: want {want:?}\norder: have {have:?}"))
}

/// Seconds between the starts of each container, or from what was done to it in between.
fn spacing(want: &[Event], have: &[Event], actions: &[f64]) -> Vec<String> {
    let gaps = |events: &[Event], subject: &str| -> Vec<f64> {
        let starts = events
            .iter()
            .filter(|e| e.what == "StartContainer" && e.subject == subject);
        let at: Vec<f64> = starts.map(|e| e.at).collect();
        let since = |pair: &[f64]| {
            let before = actions.iter().copied().filter(|at| *at <= pair[1]);
            pair[1] - before.fold(pair[0], f64::max)
        };
        at.windows(2).map(since).collect()
    };
    let subjects: BTreeSet<&str> = want.iter().map(|e| e.subject.as_str()).collect();
    let mut errors = Vec::new();
    for subject in subjects {
        let (want, have) = (gaps(want, subject), gaps(have, subject));
        let fits = |(want, have): (&f64, &f64)| *have <= want + SLACK && *have >= want - LATE;
        if want.len() > have.len() || !want.iter().zip(&have).all(fits) {
            errors.push(format!(
                "seconds between starts of {subject}: want {want:.1?} have {have:.1?}"
            ));
        }
    }
    errors
}
