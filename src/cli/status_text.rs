//! The text of `setlet status`.

use std::time::Duration;

use jiff::Timestamp;

use super::output::{Colour, align};
use crate::model::time::between;
use crate::model::{Goal, Reason, SourceCondition, Verdict};
use crate::server::{NodeReport, PodReportLine, Pull, SetLine};
use crate::status::{human_age, human_duration};

/// How a set is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    Held,
    NotHere,
}

/// A line of the table, or one below it that explains it.
enum Line {
    Row([String; 6]),
    Note(String),
}

/// The whole text.
pub(super) fn render(report: &NodeReport, colour: Colour) -> String {
    let mut text = head(report, colour);
    let lines: Vec<Line> = report
        .sets
        .iter()
        .flat_map(|set| set_lines(set, report.now))
        .chain(
            report
                .orphans
                .iter()
                .flat_map(|pod| pod_lines("(removed)", pod, report.now)),
        )
        .collect();
    if !lines.is_empty() {
        text.push('\n');
        text.push_str(&table(&lines, colour));
    }
    text.push_str(&refused(report));
    if !report.unread.is_empty() {
        text.push_str("\nnot read:\n");
        for unread in &report.unread {
            text.push_str(&format!("  {}: {}\n", unread.path, unread.why));
        }
    }
    if !report.archives.is_empty() {
        text.push_str("\nimage archives:\n");
        for reason in &report.archives {
            text.push_str(&format!("  {}\n", reason.message));
        }
    }
    text
}

fn head(report: &NodeReport, colour: Colour) -> String {
    let count = |wanted| {
        report
            .sets
            .iter()
            .filter(|set| condition(set) == wanted)
            .count()
    };
    let mut counts = vec![match report.sets.len() {
        1 => "1 set".to_owned(),
        n => format!("{n} sets"),
    }];
    for (n, words) in [
        (count(Condition::Running), "running"),
        (count(Condition::Held), "held"),
        (count(Condition::NotHere), "not for this node"),
        (report.refused.len(), "refused"),
    ] {
        if n > 0 {
            counts.push(format!("{n} {words}"));
        }
    }
    let state = match report.ready {
        true => colour.paint(32, "ready"),
        false => colour.paint(31, "not ready"),
    };
    let cordoned = if report.unschedulable {
        ", cordoned"
    } else {
        ""
    };
    let runtime = report.runtime_version.replacen("://", " ", 1);
    let mut text = format!(
        "node {}  {state}{cordoned}  {runtime}   {}\n",
        report.node,
        counts.join(", ")
    );
    let troubles = report.network.iter().chain(&report.troubles);
    let troubles = troubles.chain(&report.notes);
    for reason in report.runtime.iter().chain(troubles) {
        text.push_str(&format!("  {}\n", reason_text(reason, report.now)));
    }
    match &report.source {
        SourceCondition::Ready if report.synced => {}
        SourceCondition::Unreadable(why) => {
            text.push_str(&format!(
                "  manifests cannot be read: {why}; what runs goes on\n"
            ));
        }
        _ => {
            text.push_str("  manifests are not read whole yet; nothing is ended before they are\n")
        }
    }
    text
}

fn condition(set: &SetLine) -> Condition {
    match set.verdict {
        Verdict::Stop(_) => Condition::NotHere,
        Verdict::Keep(_) => Condition::Held,
        Verdict::Run if set.reasons.is_empty() && set.pods.iter().any(is_well) => {
            Condition::Running
        }
        Verdict::Run => Condition::Held,
    }
}

fn is_well(pod: &PodReportLine) -> bool {
    pod.goal == Goal::Run && pod.state == "Running" && pod.ready == pod.total
}

fn set_lines(set: &SetLine, now: Timestamp) -> Vec<Line> {
    let name = set.key.to_string();
    let mut lines: Vec<_> = set
        .pods
        .iter()
        .flat_map(|pod| pod_lines(&name, pod, now))
        .collect();
    if lines.is_empty() {
        let state = match set.verdict {
            Verdict::Run => "waiting",
            Verdict::Keep(_) => "not started",
            Verdict::Stop(_) => "not for this node",
        };
        lines.push(Line::Row(
            [&name, "-", state, "", "", ""].map(str::to_owned),
        ));
    }
    let violated = set.verdict.violated().iter();
    lines.extend(violated.map(|rule| Line::Note(format!("{}: {}", rule.subject, rule.because))));
    lines.extend(
        set.reasons
            .iter()
            .map(|reason| Line::Note(reason_text(reason, now))),
    );
    lines
}

fn pod_lines(set: &str, pod: &PodReportLine, now: Timestamp) -> Vec<Line> {
    let state = match pod.goal {
        Goal::Stage | Goal::Prepare => "staging".to_owned(),
        Goal::Run | Goal::Rest | Goal::End => pod.state.clone(),
    };
    let row = [
        set.to_owned(),
        pod.key.name.clone(),
        state,
        format!("{}/{}", pod.ready, pod.total),
        pod.restarts.to_string(),
        human_age(Some(pod.created_at), now),
    ];
    let pulls = pod
        .pulls
        .iter()
        .map(|pull| Line::Note(pull_text(pull, now)));
    let reasons = pod
        .reasons
        .iter()
        .map(|reason| Line::Note(reason_text(reason, now)));
    [Line::Row(row)]
        .into_iter()
        .chain(pulls)
        .chain(reasons)
        .collect()
}

/// The table with its notes; the state's colour says whether all is well.
fn table(lines: &[Line], colour: Colour) -> String {
    let head = ["SET", "POD", "STATE", "READY", "RESTARTS", "AGE"].map(str::to_owned);
    let rows = lines.iter().filter_map(|line| match line {
        Line::Row(row) => Some(row.to_vec()),
        Line::Note(_) => None,
    });
    let rows: Vec<_> = [head.to_vec()].into_iter().chain(rows).collect();
    let mut aligned = align(&rows).into_iter();
    let mut text = aligned.next().map(|head| head + "\n").unwrap_or_default();
    for line in lines {
        match line {
            Line::Row(row) => {
                let state = &row[2];
                let sgr = match state.as_str() {
                    "Running" => 32,
                    "not for this node" => 2,
                    _ => 33,
                };
                let aligned = aligned.next().unwrap_or_default();
                text.push_str(&aligned.replacen(state, &colour.paint(sgr, state), 1));
                text.push('\n');
            }
            Line::Note(note) => text.push_str(&format!("    {note}\n")),
        }
    }
    text
}

fn refused(report: &NodeReport) -> String {
    let mut text = String::new();
    for refused in &report.refused {
        let object = refused.object.as_deref().unwrap_or("a document");
        let goes_on = match refused.last_good {
            true => "file changed, refused; the earlier version goes on",
            false => "refused",
        };
        let origin = &refused.origin;
        text.push_str(&format!(
            "  {object}: {goes_on} ({}, document {})\n",
            origin.file, origin.document
        ));
        for error in &refused.errors {
            text.push_str(&format!("    {error}\n"));
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\nrefused:\n{text}")
    }
}

/// A reason with the time until the next try.
pub(super) fn reason_text(reason: &Reason, now: Timestamp) -> String {
    let Some(at) = reason.retry_at else {
        return reason.to_string();
    };
    let left = between(now, at);
    let verb = if reason.word == "CrashLoopBackOff" {
        "restarts"
    } else {
        "tried again"
    };
    // Rounded up, so that it does not say 0 s while there is still something to wait for.
    let left = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    let left = match left.as_secs() {
        0 => "now".to_owned(),
        1..120 => format!("in {} s", left.as_secs()),
        _ => format!("in {}", human_duration(left)),
    };
    let of = reason
        .container
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!("{}{of}: {verb} {left}: {}", reason.word, reason.message)
}

/// `pulling busybox 12.3 of 40.1 MiB`, or for how long where the runtime tells no bytes.
pub(super) fn pull_text(pull: &Pull, now: Timestamp) -> String {
    #[allow(clippy::cast_precision_loss)]
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    match (pull.done, pull.total) {
        (0, 0) => format!(
            "pulling {} for {}",
            pull.image,
            human_age(Some(pull.since), now)
        ),
        (done, 0) => format!("pulling {} {:.1} MiB", pull.image, mib(done)),
        (done, total) => format!(
            "pulling {} {:.1} of {:.1} MiB",
            pull.image,
            mib(done),
            mib(total)
        ),
    }
}
