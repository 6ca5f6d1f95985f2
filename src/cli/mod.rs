//! The command line: one file per command; here the tree of them.
//!
//! Results go to standard output, everything else to standard error. Exit status 0: done; 1: failed
//! or refused; 2: wrong usage. `exec` ends with the status of the command it ran.

mod check;
mod client;
mod completion;
mod config;
mod delete;
mod describe;
mod exec;
mod explain;
mod get;
mod logs;
mod output;
mod purge;
mod rollout;
mod run;
mod status;
mod status_text;
mod target;
#[cfg(test)]
mod tests;
mod tracing;
mod version;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use client::Client;
pub use output::complain;

/// The agent's socket when nothing says otherwise.
const DEFAULT_SOCKET: &str = "/run/setlet/setlet.sock";
/// The socket's name in the configuration's `paths.run`.
const SOCKET_NAME: &str = "setlet.sock";

/// Runs DaemonSets on this node through containerd, without a kubelet.
#[derive(Debug, Parser)]
#[command(name = "setlet", version, about, max_term_width = 100)]
pub struct Cli {
    /// The agent's socket [default: that of --config, or /run/setlet/setlet.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration file; drop-ins lie in config.d beside it
    /// [default: /etc/setlet/config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent in the foreground
    Run,
    /// Show the node, each set, each pod, and what is held back and why
    Status(status::Args),
    /// Show every rule that decides whether a set runs here
    Explain(explain::Args),
    /// Admit manifests as the agent would, without an agent
    Check(check::Args),
    /// List daemonsets, pods, nodes or events
    Get(get::Args),
    /// Show everything about a daemonset, a pod or the node, and what happened to it
    Describe(describe::Args),
    /// Print the log of a pod's container
    Logs(logs::Args),
    /// Look at and steer the updates of a set
    Rollout(rollout::Args),
    /// End a pod; its set makes a new one
    Delete(delete::Args),
    /// Run a command in a pod's container
    Exec(exec::Args),
    /// End all pods of the agent and remove what it brought: images, state, logs
    Purge(purge::Args),
    /// Print the merged configuration with every default
    Config,
    /// Print the versions of this program, the agent and its runtime
    Version(version::Args),
    /// Print the completion script of a shell
    Completion(completion::Args),
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked: exit status 0.
    Done,
    /// It was carried out and the answer is no: exit status 1.
    Refused,
    /// A command in a container ended with this exit status, which is passed on.
    Exited(u8),
}

impl Cli {
    /// Carries the command out; results go to `out`.
    ///
    /// # Errors
    ///
    /// Whatever went wrong, in words for the person at the terminal.
    pub async fn execute(self, out: &mut dyn Write) -> anyhow::Result<Outcome> {
        let config = self.config.as_deref();
        let client =
            || Ok::<_, anyhow::Error>(Client::new(socket(self.socket.as_deref(), config)?));
        match self.command {
            Command::Run => run::run(config).await?,
            Command::Status(args) => status::status(&client()?, &args, out).await?,
            Command::Explain(args) => explain::explain(&client()?, &args, out).await?,
            Command::Check(args) => return check::check(&args, out),
            Command::Get(args) => get::get(&client()?, &args, out).await?,
            Command::Describe(args) => describe::describe(&client()?, &args, out).await?,
            Command::Logs(args) => logs::logs(&client()?, &args, out).await?,
            Command::Rollout(args) => return rollout::rollout(&client()?, &args, out).await,
            Command::Delete(args) => delete::delete(&client()?, &args, out).await?,
            Command::Exec(args) => return exec::exec(&client()?, &args, out).await,
            Command::Purge(args) => return purge::purge(config, &args, out).await,
            Command::Config => config::config(config, out)?,
            Command::Version(args) => version::version(&client()?, &args, out).await?,
            Command::Completion(args) => completion::completion(&args, out),
        }
        Ok(Outcome::Done)
    }
}

/// The agent's socket: named, or of the configuration named, or of the default configuration where
/// that can be read.
fn socket(socket: Option<&Path>, config: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(socket) = socket {
        return Ok(socket.to_owned());
    }
    match (config, crate::config::Config::load(config)) {
        (_, Ok(loaded)) => Ok(loaded.paths.run.join(SOCKET_NAME)),
        (Some(_), Err(error)) => Err(error.into()),
        (None, Err(_)) => Ok(PathBuf::from(DEFAULT_SOCKET)),
    }
}
