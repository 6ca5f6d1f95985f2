//! setlet installed from its package in machines of their own, under qemu.
//!
//! `make test-vm` runs it; `ARGS=short` runs the first topic on Debian 12, without the steps that are
//! not in the short form. It prints a table, and writes
//! `target/vm/junit.xml`.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads clocks and writes files as it likes"
)]

mod image;
mod install;
mod machine;
mod package;
mod report;

use std::process::ExitCode;

use image::Image;
use report::Report;

/// The Debian suites of the machines.
const SUITES: &[&str] = &["bookworm", "trixie"];

fn main() -> ExitCode {
    let short = std::env::args().any(|argument| argument == "short");
    // The report has what a step says; where it stood helps nobody.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = Report::default();
    for suite in if short { &SUITES[..1] } else { SUITES } {
        let image = report.time(&format!("{suite}: the image of the machine"), || {
            Image::of(suite)
        });
        if let Some(image) = image {
            install::run(&mut report, suite, &image, short);
        }
    }
    report.finish()
}
