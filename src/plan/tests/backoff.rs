//! The waits kubelet was recorded with, and the ones an annotation asks for.

use std::time::Duration;

use super::{at, exited, have_container, running};
use crate::model::BackOff;
use crate::plan::backoff::{from_annotation, restart_after};

#[test]
fn restarts_wait_as_kubelet_was_recorded() {
    let mut waits = Vec::new();
    let mut container = have_container("c", 0, exited(0, 1, 1));
    for _ in 0..8 {
        let restart = restart_after(&container, &BackOff::default()).expect("it has exited");
        waits.push(restart.delay.as_secs());
        container.backoff_level = restart.level;
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn a_long_run_starts_over() {
    let mut container = have_container("c", 5, exited(0, 600, 1));
    container.backoff_level = 5;
    let restart = restart_after(&container, &BackOff::default()).expect("it has exited");
    assert_eq!(
        (restart.delay, restart.level, restart.at),
        (Duration::ZERO, 1, at(600))
    );
}

#[test]
fn one_that_never_started_counts_as_a_crash() {
    let mut container = have_container("c", 1, exited(-1_000_000, 7, 128));
    container.backoff_level = 1;
    let restart = restart_after(&container, &BackOff::default()).expect("it has exited");
    assert_eq!((restart.at, restart.level), (at(17), 2));
}

#[test]
fn a_running_container_is_not_restarted() {
    assert_eq!(
        restart_after(&have_container("c", 0, running()), &BackOff::default()),
        None
    );
}

#[test]
fn the_annotation_changes_what_it_names() {
    let node = BackOff::default();
    let back_off = from_annotation("initial=1s, max=30s", node).expect("it is right");
    assert_eq!(
        back_off,
        BackOff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(30),
            reset: node.reset
        }
    );
    assert_eq!(
        from_annotation("initial=1 lightyear", node),
        Err("\"1 lightyear\" is not a duration such as 500ms, 10s or 5m".into())
    );
    assert_eq!(
        from_annotation("first=1s", node),
        Err("\"first\" is none of initial, max and reset".into())
    );
    assert_eq!(
        from_annotation("max=1s", node),
        Err("max must not be shorter than initial".into())
    );
}

#[test]
fn durations_of_the_annotation_are_those_of_go() {
    let initial = |text: &str| {
        let read = from_annotation(&format!("initial={text}"), BackOff::default());
        read.map(|back_off| back_off.initial).ok()
    };
    assert_eq!(initial("+.5s"), Some(Duration::from_millis(500)));
    assert_eq!(initial("3\u{b5}s"), Some(Duration::from_micros(3)));
    for text in ["PT1S", "1 s", "1sec", "1d", "-1s", "9223372037s"] {
        assert_eq!(initial(text), None, "{text}");
    }
}
