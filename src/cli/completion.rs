//! `setlet completion SHELL`.

use std::io::Write;

use clap::CommandFactory;

/// Which shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to print the script for
    shell: clap_complete::Shell,
}

/// Prints the completion script of a shell.
pub(super) fn completion(args: &Args, mut out: &mut dyn Write) {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "setlet", &mut out);
}
