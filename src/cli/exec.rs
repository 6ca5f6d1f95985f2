//! `setlet exec`: a command in a container, with its streams and its exit status.
//!
//! Follows kubectl's (k8s.io/kubectl/pkg/cmd/exec): `-t` counts only with `-i` on a terminal, whose
//! keys then all go to the command; without a terminal Ctrl-C ends setlet, and the command sees the
//! end of its input. Speaks `v5.channel.k8s.io` with the agent.

mod streams;
mod terminal;

use std::io::Write;

use anyhow::bail;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

use super::Outcome;
use super::client::{Client, JSON, encode};
use super::target::{default_container, find_pod};
use terminal::Terminal;

/// The protocol of the streams.
const PROTOCOL: &str = "v5.channel.k8s.io";
/// The exit status when the runtime could not run the command, as `env` and `chroot` have it.
/// Differs: kubectl ends with 1, which a command that was run may do, too.
const CANNOT_START: u8 = 126;

/// Where to run what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A pod, or a set: NAME, NAMESPACE/NAME, pod/NAME or daemonset/NAME
    target: String,
    /// The namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container; without it the only one, or the pod's default one
    #[arg(short, long)]
    container: Option<String>,
    /// Pass standard input to the command
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the command a terminal; only with -i, on a terminal
    #[arg(short, long)]
    tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs a command.
pub(super) async fn exec(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let key = find_pod(client, &args.target, args.namespace.as_deref()).await?;
    let pod = format!(
        "/api/v1/namespaces/{}/pods/{}",
        encode(&key.namespace),
        encode(&key.name)
    );
    let container = match &args.container {
        Some(name) => name.clone(),
        None => default_container(&client.get(&pod, JSON).await?)?,
    };
    let tty = has_terminal(args);
    let path = format!("{pod}/exec?{}", query(args, &container, tty));
    let socket = client.websocket(&path, PROTOCOL).await?;
    // Only now, so that until there is a command Ctrl-C ends setlet.
    let terminal = tty.then(Terminal::open).transpose()?;
    match streams::pass(socket, args.stdin, terminal, out).await? {
        streams::End::Status(status) => outcome(&status),
        streams::End::Signal(status) => Ok(Outcome::Exited(status)),
    }
}

/// Whether the command is to have a terminal, and can have one.
fn has_terminal(args: &Args) -> bool {
    let wanted = args.tty && args.stdin;
    let there = Terminal::is_there();
    if wanted && !there {
        crate::cli::complain(
            "Unable to use a TTY - input is not a terminal or the right kind of file",
        );
    }
    wanted && there
}

fn query(args: &Args, container: &str, tty: bool) -> String {
    let mut query = format!("container={}", encode(container));
    for word in &args.command {
        query.push_str(&format!("&command={}", encode(word)));
    }
    query.push_str("&stdout=true");
    let flags = [("stdin", args.stdin), ("tty", tty), ("stderr", !tty)];
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        query.push_str(&format!("&{name}=true"));
    }
    query
}

/// How the command ended, as the status on the error channel says.
fn outcome(status: &[u8]) -> anyhow::Result<Outcome> {
    let status: Status = serde_json::from_slice(status)?;
    if status.status.as_deref() == Some("Success") {
        return Ok(Outcome::Done);
    }
    let message = status.message.as_deref().unwrap_or("the command failed");
    match status.reason.as_deref() {
        Some("NonZeroExitCode") => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let mut causes = causes.flatten();
            let code = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"));
            let code = code.and_then(|cause| cause.message.as_deref()?.parse().ok());
            let code: u8 = code.unwrap_or(1);
            crate::cli::complain(&format!("command terminated with exit code {code}"));
            Ok(Outcome::Exited(code))
        }
        // The runtime's own word: it could not run the command.
        Some("InternalError") => {
            crate::cli::complain(&format!("setlet: {message}"));
            Ok(Outcome::Exited(CANNOT_START))
        }
        _ => bail!("{message}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_an_outcome() {
        let outcome = |status: serde_json::Value| {
            let outcome = outcome(status.to_string().as_bytes());
            outcome.map_err(|error| error.to_string())
        };
        assert_eq!(outcome(json!({"status": "Success"})), Ok(Outcome::Done));
        let failed = json!({
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "137"}]},
        });
        assert_eq!(outcome(failed), Ok(Outcome::Exited(137)));
        let internal = json!({"status": "Failure", "reason": "InternalError", "message": "no sh"});
        assert_eq!(outcome(internal), Ok(Outcome::Exited(126)));
        let gone = json!({"status": "Failure", "message": "the agent stops"});
        assert_eq!(outcome(gone), Err("the agent stops".to_owned()));
        assert!(super::outcome(b"x").is_err());
    }
}
