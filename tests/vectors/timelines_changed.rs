//! Runs those timelines of `cri/timelines.json` in which manifests changed, against planner and
//! rollout together.
//!
//! A pod that kubelet makes anew under another uid is compared with the pod that the rollout makes:
//! each pod's calls in their order, the old one's stop before the new one's first container, and no
//! later than kubelet's. What differs on purpose has a rule of its own here and a line in the README:
//!
//! - a manifest that is refused leaves the earlier version running; kubelet ends the pod;
//! - a file that is renamed, or written a second time, changes nothing; kubelet restarts the pod;
//! - a pod that was ended is not taken up again: a set that comes back gets another pod, and counts
//!   anew; kubelet goes on counting;
//! - a changed template is another pod, also where kubelet changes a pod with a fixed uid in place
//!   (what was changed is not in the data, so that an update in place cannot be compared);
//! - a deadline or a restart policy other than `Always` is refused, as for every DaemonSet.

use serde_json::{Value, json};

use crate::cri_case::Case;
use crate::timeline_node::Node;
use crate::timelines::{END, Event, SLACK, actions, made};

/// What a source makes of an action, and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Another pod, as kubelet makes one.
    Another,
    /// Another pod, where kubelet changes this one.
    AnotherOnly,
    /// None.
    Nothing,
}

/// Judges a timeline of changed manifests, or of a pod that no DaemonSet may have; `None` for others.
pub fn judge(timeline: &Value) -> Option<Result<(), String>> {
    let pod = &timeline["pod"];
    if !pod["spec"].is_object() {
        return None;
    }
    if !matches!(pod["spec"]["restartPolicy"].as_str(), None | Some("Always")) {
        return Some(is_refused(pod));
    }
    let notes = timeline["notes"].as_str().unwrap_or_default();
    if notes.contains("activeDeadlineSeconds") {
        let mut pod = pod.clone();
        pod["spec"]["activeDeadlineSeconds"] = json!(40);
        return Some(is_refused(&pod));
    }
    let words = ["updated", "renamed", "second file", "again"];
    let is_changed = |(_, action): (f64, &str)| words.iter().any(|word| action.contains(word));
    actions(timeline).any(is_changed).then(|| compare(timeline))
}

/// Whether a DaemonSet with this pod for its template is refused.
fn is_refused(pod: &Value) -> Result<(), String> {
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "vec"},
        "spec": {
            "selector": {"matchLabels": {"vec": "vec"}},
            "template": {"metadata": {"labels": {"vec": "vec"}}, "spec": pod["spec"]},
        },
    });
    let admitted = setlet::api::admit("timeline.json", set.to_string().as_bytes());
    if admitted.iter().all(Result::is_err) {
        Ok(())
    } else {
        Err("admitted as the template of a DaemonSet".to_owned())
    }
}

fn compare(timeline: &Value) -> Result<(), String> {
    let mut timeline = timeline.clone();
    if let Some(meta) = timeline["pod"]["metadata"].as_object_mut()
        && meta.remove("uid").is_some()
    {
        timeline["fixed"] = json!(true);
    }
    let node = Value::Null;
    let case = Case {
        case: &timeline,
        node: &node,
    };
    let mut node = Node::new(case.pod()?);
    let recorded = generations(&timeline);
    let mut change = Change::Another;
    for (at, action) in actions(&timeline).collect::<Vec<_>>() {
        node.run(at);
        match act(&mut node, &timeline, &recorded, action) {
            Ok(None) => {}
            Ok(Some(found)) => change = found,
            Err(why) if why.is_empty() => break,
            Err(why) => return Err(why),
        }
        if change == Change::AnotherOnly {
            // What follows in the recording is of a pod that is no more here.
            node.run(at + 60.0);
            break;
        }
    }
    let have: Vec<Vec<Event>> = node
        .lives
        .iter()
        .map(|life| made(&life.world.calls, node.begin()))
        .collect();
    let errors = match change {
        Change::Another => another(&recorded, &have, sequential(&timeline)),
        Change::AnotherOnly => another_only(&recorded, &have),
        Change::Nothing => nothing(&recorded, &have),
    };
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(errors.join("\n")),
    }
}

/// Does what was done from outside; an empty error is the end of the observation.
fn act(
    node: &mut Node,
    timeline: &Value,
    recorded: &[Vec<Event>],
    action: &str,
) -> Result<Option<Change>, String> {
    Ok(match action {
        "manifest written" => {
            node.sets.insert("set", 0);
            None
        }
        "manifest removed" => {
            node.sets.remove("set");
            None
        }
        "manifest updated" if timeline["fixed"] == true => {
            node.sets.insert("set", 1);
            Some(Change::AnotherOnly)
        }
        // kubelet ended the pod and made no other: the manifest was refused.
        "manifest updated" if recorded.len() == 1 => Some(Change::Nothing),
        "manifest updated" => {
            *node.sets.entry("set").or_default() += 1;
            Some(Change::Another)
        }
        _ if action.starts_with("same manifest written again") => {
            node.sets.insert("set", 0);
            Some(Change::Another)
        }
        _ if action.starts_with("pod renamed to") => {
            node.sets.remove("set");
            node.sets.insert("new set", 0);
            Some(Change::Another)
        }
        _ if action.contains("file renamed") || action.contains("second file") => {
            Some(Change::Nothing)
        }
        _ if action.starts_with("signal 9") => {
            if let Some((_, name)) = action.rsplit_once("container ") {
                node.signal(name, 9);
            }
            None
        }
        _ if action.starts_with("end of observation") => return Err(String::new()),
        _ => return Err(format!("nobody knows what {action:?} does")),
    })
}

/// Whether the new pod waits for the old one's end: not where it has another name.
fn sequential(timeline: &Value) -> bool {
    actions(timeline).all(|(_, action)| !action.starts_with("pod renamed"))
}

/// kubelet's calls, those of each pod: of each uid, and of each beginning after a removal. Attempts
/// count from each pod's own first.
fn generations(timeline: &Value) -> Vec<Vec<Event>> {
    let end = actions(timeline).find(|(_, action)| action.starts_with("end of observation"));
    let end = end.map_or(f64::MAX, |(at, _)| at - END);
    let mut pods: Vec<(Vec<Event>, i64, usize)> = Vec::new();
    let mut removed = false;
    for event in timeline["events"].as_array().into_iter().flatten() {
        let (Some(at), Some(what)) = (event["t"].as_f64(), event["what"].as_str()) else {
            continue;
        };
        removed |= what == "action: manifest removed" || what.contains("second file");
        let others = ["action", "Remove", "Reopen"];
        if at >= end || others.iter().any(|other| what.starts_with(other)) {
            continue;
        }
        let uid = event["uid_generation"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok());
        let sandbox = event["sandbox_attempt"].as_i64();
        let begins = what == "RunPodSandbox" && uid.is_none_or(|uid| uid == pods.len());
        if begins && (pods.is_empty() || removed || uid.is_some()) {
            pods.push((Vec::new(), sandbox.unwrap_or(0), 0));
            removed = false;
        }
        // A stop of an older sandbox is a repeated one.
        let index = uid.unwrap_or(pods.len().saturating_sub(1));
        let Some((events, first, stops)) = pods.get_mut(index) else {
            continue;
        };
        if what == "StopPodSandbox" {
            *stops += 1;
            if *stops > 1 || sandbox.is_some_and(|sandbox| sandbox < *first) {
                continue;
            }
        }
        let attempt = event["attempt"].as_i64().unwrap_or(0) - *first;
        let word = match what {
            "StopContainer" => format!("{what} {}", event["timeout"]),
            "RunPodSandbox" => format!("{what} {}", sandbox.unwrap_or(0) - *first),
            "StopPodSandbox" => what.to_owned(),
            _ => format!("{what} {attempt}"),
        };
        let subject = event["container"].as_str().unwrap_or("sandbox").to_owned();
        events.push(Event {
            at,
            what: what.to_owned(),
            subject,
            word,
        });
    }
    pods.into_iter().map(|(events, _, _)| events).collect()
}

fn words(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| format!("{} {}", event.subject, event.word);
    events.iter().map(line).collect()
}

fn at(events: &[Event], what: &str) -> Option<f64> {
    events
        .iter()
        .find(|event| event.what == what)
        .map(|event| event.at)
}

/// As kubelet: the same pods, one after the other, and no later.
fn another(want: &[Vec<Event>], have: &[Vec<Event>], sequential: bool) -> Vec<String> {
    let mut errors = Vec::new();
    if want.len() != have.len() {
        errors.push(format!("want {} pods, have {}", want.len(), have.len()));
    }
    for (number, (want, have)) in want.iter().zip(have).enumerate() {
        let (wanted, had) = (words(want), words(have));
        if wanted != had {
            errors.push(format!(
                "pod {number}: want {wanted:?}\npod {number}: have {had:?}"
            ));
        }
        let begins = at(want, "RunPodSandbox").zip(at(have, "RunPodSandbox"));
        if begins.is_some_and(|(want, have)| have > want + SLACK) {
            errors.push(format!("pod {number}: begins {begins:?}"));
        }
    }
    errors.extend(sequential.then(|| overlap(have)).flatten());
    errors
}

/// Says of pods that a container of one was made before those of the one before it had stopped.
///
/// Differs: the new pod's sandbox is there before, and what is left of the old one goes beside it.
fn overlap(have: &[Vec<Event>]) -> Option<String> {
    have.windows(2).find_map(|pair| {
        let stops = pair[0].iter().filter(|event| event.what == "StopContainer");
        let end = stops.map(|event| event.at).reduce(f64::max);
        let begin = at(&pair[1], "CreateContainer");
        let in_order = end.zip(begin).is_some_and(|(end, begin)| end <= begin);
        (!in_order).then(|| format!("the old pod stops {end:?}, the new one begins {begin:?}"))
    })
}

/// Differs: the old pod ends whole, and another begins as the old one did.
fn another_only(want: &[Vec<Event>], have: &[Vec<Event>]) -> Vec<String> {
    let [old, new] = have else {
        return vec![format!("want 2 pods, have {}", have.len())];
    };
    let starts = |events: &[Event]| {
        let made = |event: &&Event| !event.what.starts_with("Stop");
        words(&events.iter().filter(made).cloned().collect::<Vec<_>>())
    };
    let first: Vec<String> = {
        let begun = starts(&want.concat());
        begun.into_iter().take(starts(old).len()).collect()
    };
    let mut errors = Vec::new();
    for (name, found) in [("old", starts(old)), ("new", starts(new))] {
        if found != first {
            errors.push(format!("{name}: want {first:?}\n{name}: have {found:?}"));
        }
    }
    errors.extend(overlap(have));
    errors
}

/// Differs: nothing was done after the pod had begun.
fn nothing(want: &[Vec<Event>], have: &[Vec<Event>]) -> Vec<String> {
    let first = words(want.first().map(Vec::as_slice).unwrap_or_default());
    let begun: Vec<_> = first
        .into_iter()
        .filter(|word| !word.contains(" Stop"))
        .collect();
    let had: Vec<_> = have.iter().map(|events| words(events)).collect();
    if had.len() == 1 && had[0] == begun {
        Vec::new()
    } else {
        vec![format!("want {begun:?} and nothing more\nhave {had:?}")]
    }
}
