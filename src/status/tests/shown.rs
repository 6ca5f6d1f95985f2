//! What is shown is the time of day.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::fixture::{at, container, ending, exited, held, node, pod, running, set, view};
use crate::model::{Event, EventLog, Involved, NodeView, Note, Reason};
use crate::status::{shown, shown_events};

fn some_view() -> Arc<NodeView> {
    let containers = vec![
        container("main", 1, running(20)),
        container("x", 0, exited(1, 20, 30)),
    ];
    let waits = held(
        pod(&set("default", "web", ""), "web-a", containers),
        vec![Reason::new("CrashLoopBackOff", "it waits").retried_at(at(40))],
    );
    Arc::new(view(Vec::new(), vec![ending(waits)]))
}

#[test]
fn times_are_moved_by_what_the_time_of_day_is_ahead() {
    let view = some_view();
    assert!(Arc::ptr_eq(&shown(&view, SignedDuration::ZERO), &view));
    let later = shown(&view, SignedDuration::from_secs(7200));
    let (before, after) = [&view, &later]
        .map(|view| view.pods.values().next().expect("a pod").clone())
        .into();
    let hours = |report| {
        let pod = crate::status::pod(report, &node(), at(100));
        let pod = serde_json::to_value(&pod).expect("JSON");
        let started =
            pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
        (
            pod["metadata"]["creationTimestamp"].clone(),
            pod["metadata"]["deletionTimestamp"].clone(),
            started,
        )
    };
    let told = (
        json!("2026-01-02T03:04:05Z"),
        json!("2026-01-02T03:06:15Z"),
        json!("2026-01-02T03:04:25Z"),
    );
    assert_eq!(hours(&before), told);
    let told = (
        json!("2026-01-02T05:04:05Z"),
        json!("2026-01-02T05:06:15Z"),
        json!("2026-01-02T05:04:25Z"),
    );
    assert_eq!(hours(&after), told);
    assert_eq!(after.plan.reasons[0].retry_at, Some(at(7240)));
}

#[test]
fn events_are_moved_too() {
    let event = Event {
        name: "a".to_owned(),
        uid: String::new(),
        note: Note::normal(Involved::node("n"), "Starting", "it starts"),
        count: 2,
        first: at(1),
        last: at(2),
    };
    let log = Arc::new(EventLog {
        events: [Arc::new(event)].into(),
        ..EventLog::default()
    });
    let earlier = shown_events(&log, SignedDuration::from_secs(-10));
    let times = |log: &EventLog| (log.events[0].first, log.events[0].last);
    assert_eq!(times(&earlier), (at(-9), at(-8)));
    assert_eq!(times(&log), (at(1), at(2)));
}
