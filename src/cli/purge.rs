//! `setlet purge`: ends the pods of this agent and removes what it brought, for when it is to leave the
//! machine. Only root can, and only while the agent does not run.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::bail;
use nix::unistd::Uid;

use super::Outcome;
use crate::agent::purge::Purge;
use crate::config::Config;

/// How it is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Tells what it would remove, asks, and removes it.
pub(super) async fn purge(
    path: Option<&Path>,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    if !Uid::effective().is_root() {
        bail!("only root can remove the agent's pods, images and state");
    }
    let config = Config::load_trusted(path)?;
    drop(super::tracing::start("error"));
    let purge = Purge::look(config).await?;
    if !args.yes && !confirmed(&purge, out)? {
        return Ok(Outcome::Refused);
    }
    let mut failed = None;
    let mut tell = |line: String| {
        let told = writeln!(out, "{line}").and_then(|()| out.flush());
        // What was begun is ended, also when nobody listens.
        failed = failed.take().or(told.err());
    };
    let all = purge.carry_out(&mut tell).await;
    match failed {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ if all => Ok(Outcome::Done),
        _ => Ok(Outcome::Refused),
    }
}

/// Asks on the terminal; without one the answer is an error that says how to go on.
fn confirmed(purge: &Purge, out: &mut dyn Write) -> anyhow::Result<bool> {
    list(purge, out)?;
    if !io::stdin().is_terminal() {
        bail!(
            "nobody is there to ask, for standard input is no terminal; nothing was removed: give --yes"
        );
    }
    write!(out, "Remove all of it? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn list(purge: &Purge, out: &mut dyn Write) -> io::Result<()> {
    for pod in purge.pods() {
        writeln!(out, "pod {pod}")?;
    }
    for image in purge.images() {
        writeln!(out, "image {image}, unless somebody else uses it")?;
    }
    for directory in purge.directories() {
        writeln!(out, "what the agent made in {}", directory.display())?;
    }
    Ok(())
}
