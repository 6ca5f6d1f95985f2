//! What a pod finds inside: its container prints it, and a trial reads it from the log.

use crate::harness::agent::SOON;
use crate::harness::{Agent, Container};

/// The end of a script whose output [`report`] reads: it says that it is done, and stays.
pub const DONE: &str = "echo DONE; trap 'exit 0' TERM; while :; do sleep 1; done";

/// What the container `main` of a set has printed, once it is done: its container, and the lines.
pub fn report(agent: &Agent, set: &str) -> (Container, String) {
    let running = agent.wait_for(SOON, &format!("{set} has its main container"), || {
        let running = agent.running_of(set);
        let names: Vec<_> = running.iter().map(|one| one.name().to_owned()).collect();
        let main = running.into_iter().find(|one| one.name() == "main");
        main.ok_or(format!("{names:?} run"))
    });
    let text = agent.wait_for(SOON, &format!("{set} has printed what it found"), || {
        let text = printed(agent, &running);
        if text.lines().any(|line| line == "DONE") {
            Ok(text)
        } else {
            Err(text)
        }
    });
    (running, text)
}

/// What a container has printed so far, without the marks that CRI puts before each line.
pub fn printed(agent: &Agent, container: &Container) -> String {
    let log = agent.container_log(container);
    let text = log
        .lines()
        .map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default());
    text.map(|line| format!("{line}\n")).collect()
}

/// Every expected line is there.
pub fn assert_lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(
            text.lines().any(|found| found == *line),
            "{line:?} in\n{text}"
        );
    }
}
