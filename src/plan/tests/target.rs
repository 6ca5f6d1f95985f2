//! Which revision is to run, and what is said of one that is tried, each as a whole value.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ObjectKey, Revision};
use crate::model::{Bad, Overrides, Reason, RevisionRecord, RolloutDefaults, SetRecord, Subject};
use crate::plan::policy::{Policy, Replace, policy};
use crate::plan::target::plan_target;
use crate::plan::trial::{Judgement, Progress, judge};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a second")
}

fn calm() -> Policy {
    Policy {
        replace: Replace::WhenStaged,
        min_ready: Duration::from_secs(5),
        settle: Duration::from_secs(5),
        rollback: false,
        deadline: Duration::from_secs(60),
        max_restarts: 3,
        hold: false,
        paused: false,
        in_place: false,
        config_rollout: false,
    }
}

fn subject(objects: &str) -> Subject {
    Subject {
        manifest: "m".to_owned(),
        objects: objects.to_owned(),
    }
}

fn revision(number: i64) -> RevisionRecord {
    let object = k8s_openapi::api::apps::v1::ControllerRevision {
        revision: number,
        ..Default::default()
    };
    RevisionRecord::new(Revision::new(number.to_string()), object)
}

/// Revisions 1 (good), 2 (good later) and 3 (wanted); 2 runs.
fn record() -> SetRecord {
    let mut record = SetRecord::new(ObjectKey::new("ns", "set"));
    record.revisions = (1..=3).map(revision).collect();
    record.revisions[0].good_since = Some(at(10));
    record.revisions[1].good_since = Some(at(20));
    record.current = Some(Revision::new("2"));
    record
}

fn bad(objects: &str) -> Option<Bad> {
    Some(Bad {
        reason: Reason::new("RestartedTooOften", "it restarts"),
        at: at(30),
        subject: subject(objects),
    })
}

fn run(record: &SetRecord, policy: &Policy) -> (String, Option<String>, Vec<String>) {
    let target = plan_target(record, &Revision::new("3"), policy, &subject("o"));
    let words = target.reasons.into_iter().map(|r| r.word).collect();
    let stage = target.stage.map(|stage| stage.to_string());
    (target.run.to_string(), stage, words)
}

fn expected(
    run: &str,
    stage: Option<&str>,
    words: &[&str],
) -> (String, Option<String>, Vec<String>) {
    let words = words.iter().map(ToString::to_string).collect();
    (run.to_owned(), stage.map(str::to_owned), words)
}

#[test]
fn what_the_manifest_says_runs() {
    assert_eq!(run(&record(), &calm()), expected("3", None, &[]));
}

#[test]
fn a_pause_keeps_what_runs_and_a_command_goes_before_the_annotation() {
    let paused = Policy {
        paused: true,
        ..calm()
    };
    let mut record = record();
    assert_eq!(run(&record, &paused), expected("2", None, &["Paused"]));
    record.overrides = Some(Overrides {
        paused: Some(false),
        ..Overrides::default()
    });
    assert_eq!(run(&record, &paused), expected("3", None, &[]));
    record.overrides = None;
    record.current = None;
    assert_eq!(
        run(&record, &paused),
        expected("3", None, &[]),
        "a first pod is no update"
    );
}

#[test]
fn what_is_held_is_staged_until_it_is_approved() {
    let hold = Policy {
        hold: true,
        ..calm()
    };
    let mut record = record();
    assert_eq!(run(&record, &hold), expected("2", Some("3"), &["Held"]));
    record.overrides = Some(Overrides {
        approved: Some(Revision::new("3")),
        ..Overrides::default()
    });
    assert_eq!(run(&record, &hold), expected("3", None, &[]));
}

#[test]
fn a_bad_revision_gives_way_to_the_last_good_one_and_then_to_the_one_before() {
    let back = Policy {
        rollback: true,
        hold: true,
        ..calm()
    };
    let mut record = record();
    record.current = Some(Revision::new("3"));
    record.revisions[2].bad = bad("o");
    assert_eq!(run(&record, &back), expected("2", None, &["RolledBack"]));
    assert_eq!(
        run(&record, &calm()),
        expected("3", None, &[]),
        "only where it is wanted"
    );
    record.revisions[1].bad = bad("o");
    assert_eq!(run(&record, &back), expected("1", None, &["RolledBack"]));
    record.revisions[0].bad = bad("o");
    let none_left = |run| expected(run, None, &["NoGoodRevision"]);
    assert_eq!(run(&record, &back), none_left("3"));
    record.current = Some(Revision::new("1"));
    assert_eq!(run(&record, &back), none_left("1"), "what runs stays");
}

#[test]
fn a_bad_revision_is_tried_again_with_other_objects() {
    let back = Policy {
        rollback: true,
        ..calm()
    };
    let mut record = record();
    record.revisions[2].bad = bad("others");
    assert_eq!(run(&record, &back), expected("3", None, &[]));
}

#[test]
fn a_trial_ends_good_bad_or_waits() {
    let mut tried = revision(3);
    tried.trial_since = Some(at(100));
    let say = |tried: &RevisionRecord, ready: Option<i64>, restarts, watched, now| {
        let progress = Progress {
            ready_since: ready.map(at),
            looked_at: ready
                .map(|ready| at(ready + 5))
                .filter(|ask| *ask <= at(now)),
            restarts,
        };
        judge(tried, &progress, &calm(), at(watched), at(now))
    };
    assert_eq!(say(&tried, None, 0, 0, 101), Judgement::Wait(at(160)));
    assert_eq!(say(&tried, Some(110), 0, 0, 111), Judgement::Wait(at(160)));
    assert_eq!(say(&tried, Some(110), 9, 0, 115), Judgement::Good);
    assert_eq!(say(&tried, None, 3, 0, 101), Judgement::Wait(at(160)));
    let restarted = "its containers restarted 4 times before it was available";
    let restarted = Judgement::Bad(Reason::new("RestartedTooOften", restarted));
    assert_eq!(say(&tried, None, 4, 0, 101), restarted);
    let late = "it was not available within 1m";
    let late = Judgement::Bad(Reason::new("ProgressDeadlineExceeded", late));
    assert_eq!(say(&tried, Some(157), 0, 0, 160), late);
    // The agent was away: what it did not watch does not count.
    assert_eq!(say(&tried, None, 0, 150, 160), Judgement::Wait(at(210)));

    // The time has come, and nobody has looked since.
    let unseen = Progress {
        ready_since: Some(at(110)),
        ..Progress::default()
    };
    let judged = judge(&tried, &unseen, &calm(), at(0), at(116));
    assert_eq!(judged, Judgement::Wait(at(160)));

    tried.trial_since = None;
    assert_eq!(say(&tried, None, 9, 0, 999), Judgement::NoTrial);
    assert_eq!(
        say(&tried, Some(1), 0, 0, 999),
        Judgement::Good,
        "late is not never"
    );
    tried.good_since = Some(at(100));
    assert_eq!(say(&tried, Some(1), 0, 0, 999), Judgement::NoTrial);
    tried.bad = bad("o");
    assert_eq!(say(&tried, Some(1), 0, 0, 999), Judgement::Good);
}

#[test]
fn what_was_good_last_is_told_by_its_number_and_not_by_the_time() {
    let mut record = record();
    record.revisions[2].bad = bad("o");
    // Found good while the clock was years ahead, and the other after it was set right.
    record.revisions[0].good_since = Some(at(315_360_000));
    record.revisions[0].good_order = 1;
    assert_eq!(record.next_good(), 2);
    record.revisions[1].good_order = 2;
    let policy = Policy {
        rollback: true,
        ..calm()
    };
    assert_eq!(run(&record, &policy).0, "2");
    let last = record.last_good().map(|good| good.hash.as_str());
    assert_eq!(last, Some("2"), "pinned and kept");
    // Records of an earlier version have no numbers.
    for revision in &mut record.revisions {
        revision.good_order = 0;
    }
    assert_eq!(run(&record, &policy).0, "1");
}

#[test]
fn a_trial_that_begins_in_the_future_has_no_longer_than_its_deadline() {
    let mut tried = revision(3);
    tried.trial_since = Some(at(315_360_000));
    let judged = judge(&tried, &Progress::default(), &calm(), at(0), at(100));
    assert_eq!(judged, Judgement::Wait(at(160)));
}

/// The policy of a set with these annotations and this update strategy, which other fields may follow.
fn policy_of(annotations: &str, strategy: &str) -> (Policy, Vec<Reason>) {
    let text = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: x, annotations: {{{annotations}}}}}\n\
         spec:\n  selector: {{matchLabels: {{a: b}}}}\n  updateStrategy: {strategy}\n  \
         template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}\n"
    );
    let admitted = crate::api::admit("a.yaml", text.as_bytes()).remove(0);
    let Ok(crate::api::Object::DaemonSet(set)) = admitted.map(|admitted| admitted.object) else {
        panic!("{text}");
    };
    let mut reasons = Vec::new();
    let defaults = RolloutDefaults {
        deadline: Duration::from_secs(60),
        ..RolloutDefaults::default()
    };
    let policy = policy(&set, &defaults, &mut reasons);
    (policy, reasons)
}

#[test]
fn a_policy_is_read_from_strategy_and_annotations() {
    assert_eq!(
        policy_of("", "{}\n  minReadySeconds: 5"),
        (calm(), Vec::new())
    );
    let all = "setlet.dev/rollback: auto, setlet.dev/hold: \"true\", setlet.dev/paused: \"true\", \
               setlet.dev/update: in-place, setlet.dev/config-rollout: \"true\", \
               setlet.dev/progress-deadline: 2m";
    let surge = "{rollingUpdate: {maxSurge: 5%, maxUnavailable: 0}}\n  minReadySeconds: 5";
    let everything = Policy {
        replace: Replace::WhenAvailable,
        rollback: true,
        deadline: Duration::from_secs(120),
        hold: true,
        paused: true,
        in_place: true,
        config_rollout: true,
        ..calm()
    };
    assert_eq!(policy_of(all, surge), (everything, Vec::new()));
    let (policy, reasons) = policy_of(
        "setlet.dev/hold: \"yes\", setlet.dev/progress-deadline: soon",
        "{type: OnDelete}\n  minReadySeconds: 5",
    );
    let delete = Policy {
        replace: Replace::OnDelete,
        ..calm()
    };
    assert_eq!(policy, delete);
    let said: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "InvalidAnnotation: metadata.annotations[setlet.dev/hold]: \"yes\" is not \"true\" or \"false\"",
            "InvalidAnnotation: metadata.annotations[setlet.dev/progress-deadline]: \"soon\" is not a time above 0 such as 90s or 10m",
        ]
    );
}

#[test]
fn a_revision_settles_before_it_is_good() {
    let settle = |annotations: &str, ready: &str| {
        let text = policy_of(annotations, &format!("{{}}\n  minReadySeconds: {ready}"));
        text.0.settle.as_millis()
    };
    assert_eq!(settle("", "0"), 0);
    assert_eq!(settle("setlet.dev/rollback: auto", "0"), 10_000);
    let short = "setlet.dev/rollback: auto, setlet.dev/progress-deadline: 5s";
    assert_eq!(settle(short, "0"), 2500);
    assert_eq!(settle("setlet.dev/rollback: auto", "3"), 3000);
}
