//! The program `setlet`: arguments in, exit status out.

// `eprintln!` panics where nobody reads standard error: `cli::complain` does not.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use setlet::cli::{Cli, Outcome, complain};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::FAILURE,
        Ok(Outcome::Exited(status)) => ExitCode::from(status),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let said = format!("setlet: {}", in_one_line(&error));
            said.lines().for_each(complain);
            ExitCode::FAILURE
        }
    }
}

/// One thread is enough for what an agent does, and costs the least memory and wake-ups. Those that may
/// wait for a file come beside it ([`blocking`](setlet::blocking)): the coordinator's for good, others while
/// they are needed.
fn execute(cli: Cli) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut out = io::stdout().lock();
    let outcome = runtime.block_on(cli.execute(&mut out));
    // A thread that hangs in a file system that does not answer would never end.
    runtime.shutdown_background();
    out.flush()?;
    outcome
}

/// The error and its causes, those left out that the text before them already tells.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// Whether whoever reads standard output has had enough, as `head` has.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
