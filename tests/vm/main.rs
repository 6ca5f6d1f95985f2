//! setlet installed from its package in machines of their own, under qemu.
//!
//! `make test-vm` runs it; `ARGS=short` runs the first topic on Debian 12, without the steps that are
//! not in the short form; `ARGS="trixie network"` runs the suites and topics that are named. It prints a table, and writes
//! `target/vm/junit.xml`.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads clocks and writes files as it likes"
)]

mod image;
mod install;
mod machine;
mod network;
mod package;
mod report;

use std::process::ExitCode;

use image::Image;
use report::Report;

/// The Debian suites of the machines.
const SUITES: &[&str] = &["bookworm", "trixie"];

/// What is tried on a machine.
type Topic = fn(&mut Report, &str, &Image, bool);

const TOPICS: &[(&str, Topic)] = &[("install", install::run), ("network", network::run)];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let short = has("short");
    let suites: Vec<_> = SUITES.iter().filter(|suite| has(suite)).collect();
    let topics: Vec<_> = TOPICS.iter().filter(|topic| has(topic.0)).collect();
    // The report has what a step says; where it stood helps nobody.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = Report::default();
    let suites = match suites.as_slice() {
        [] if short => SUITES[..1].iter().collect(),
        [] => SUITES.iter().collect(),
        _ => suites,
    };
    let topics = match topics.as_slice() {
        [] if short => TOPICS[..1].iter().collect(),
        [] => TOPICS.iter().collect(),
        _ => topics,
    };
    for suite in suites {
        let image = report.time(&format!("{suite}: the image of the machine"), || {
            Image::of(suite)
        });
        if let Some(image) = image {
            for (_, topic) in &topics {
                topic(&mut report, suite, &image, short);
            }
        }
    }
    report.finish()
}
