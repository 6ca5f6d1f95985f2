//! `setlet rollout`: status and history of a set's updates, and what steers them.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use hyper::Method;
use tokio::time::Instant;

use super::Outcome;
use super::client::{Client, JSON, encode};
use super::explain::find_set;
use super::logs::duration;
use super::output::{Breaks, Format, align, document};
use crate::api::ObjectKey;
use crate::server::{Progress, RevisionLine, Rollout};

/// How often a rollout that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What to do about a set's rollout.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Wait until an update is done, and show how far it is
    Status {
        #[command(flatten)]
        set: Set,
        /// Give up after this long, for example 90s or 5m; 0s: never
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
        timeout: Duration,
        /// Wait until it is done
        #[arg(long, short, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        watch: bool,
    },
    /// Show the revisions, or one of them whole
    History {
        #[command(flatten)]
        set: Set,
        /// The template of this revision
        #[arg(long, value_name = "N")]
        revision: Option<i64>,
        /// Print as json or yaml
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Go back to the revision before, or to a given one
    Undo {
        #[command(flatten)]
        set: Set,
        /// This revision
        #[arg(long, value_name = "N")]
        to_revision: Option<i64>,
    },
    /// Replace the pod with a new one of the same template
    Restart(Set),
    /// No update until resumed
    Pause(Set),
    /// Go on with updates
    Resume(Set),
    /// Let an update that is held run
    Approve(Set),
}

/// Which set.
#[derive(Debug, clap::Args)]
struct Set {
    /// The DaemonSet: NAME, NAMESPACE/NAME or ds/NAME
    #[arg(required = true, num_args = 1..=2, value_name = "SET")]
    set: Vec<String>,
    /// The set's namespace
    #[arg(short, long)]
    namespace: Option<String>,
}

impl Set {
    async fn find(&self, client: &Client) -> anyhow::Result<ObjectKey> {
        const KINDS: [&str; 4] = ["ds", "daemonset", "daemonsets", "daemonsets.apps"];
        let name = match self.set.as_slice() {
            [kind, name] if KINDS.contains(&kind.as_str()) => name,
            [name] => name,
            words => bail!("\"{}\" is not one set", words.join(" ")),
        };
        let name = match name.split_once('/') {
            Some((kind, name)) if KINDS.contains(&kind) => name,
            _ => name,
        };
        find_set(client, name, self.namespace.as_deref()).await
    }
}

/// Shows or steers a rollout.
pub(super) async fn rollout(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let (set, action) = match &args.verb {
        Verb::Status {
            set,
            timeout,
            watch,
        } => {
            let key = set.find(client).await?;
            return status(client, &key, *timeout, *watch, out).await;
        }
        Verb::History {
            set,
            revision,
            output,
        } => {
            let key = set.find(client).await?;
            let rollout = match (output, revision) {
                (None, None) => show(client, &key).await?,
                // YAML and JSON escape what is to be escaped.
                _ => client.get(&path(&key), JSON).await?,
            };
            history(&rollout, *revision, *output, out)?;
            return Ok(Outcome::Done);
        }
        Verb::Undo { set, to_revision } => {
            let query = to_revision.map(|number| format!("?toRevision={number}"));
            (set, format!("undo{}", query.unwrap_or_default()))
        }
        Verb::Restart(set) => (set, "restart".to_owned()),
        Verb::Pause(set) => (set, "pause".to_owned()),
        Verb::Resume(set) => (set, "resume".to_owned()),
        Verb::Approve(set) => (set, "approve".to_owned()),
    };
    let key = set.find(client).await?;
    let path = format!("{}/{action}", path(&key));
    writeln!(out, "{}", client.ask(Method::POST, &path).await?)?;
    Ok(Outcome::Done)
}

fn path(key: &ObjectKey) -> String {
    format!(
        "/apis/setlet.dev/v1/namespaces/{}/daemonsets/{}/rollout",
        encode(&key.namespace),
        encode(&key.name)
    )
}

async fn show(client: &Client, key: &ObjectKey) -> anyhow::Result<Rollout> {
    client.show(&path(key), JSON, Breaks::Escape).await
}

async fn status(
    client: &Client,
    key: &ObjectKey,
    timeout: Duration,
    watch: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        let rollout = show(client, key).await?;
        if rollout.message != said {
            said.clone_from(&rollout.message);
            writeln!(out, "{said}")?;
            out.flush()?;
        }
        match rollout.progress {
            Progress::Complete => return Ok(Outcome::Done),
            Progress::Failed => return Ok(Outcome::Refused),
            Progress::Waiting if !watch => return Ok(Outcome::Done),
            Progress::Waiting => {}
        }
        if !timeout.is_zero() && begun.elapsed() >= timeout {
            bail!("timed out waiting for the rollout of {key}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn history(
    rollout: &Rollout,
    revision: Option<i64>,
    format: Option<Format>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if let Some(number) = revision {
        let mut lines = rollout.revisions.iter();
        let line = lines
            .find(|line| line.number == number)
            .with_context(|| format!("unable to find revision {number} of {}", rollout.set))?;
        return one(rollout, line, format, out);
    }
    if let Some(format) = format {
        return document(format, &rollout.revisions, out);
    }
    let mut rows = vec![
        ["REVISION", "HASH", "STATE", "CHANGE-CAUSE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(rollout.revisions.iter().map(|line| {
        let cause = line.change_cause.as_deref().unwrap_or("<none>");
        vec![
            line.number.to_string(),
            line.hash.to_string(),
            if line.state.is_empty() {
                "-".to_owned()
            } else {
                line.state.clone()
            },
            cause.to_owned(),
        ]
    }));
    writeln!(out, "daemonset.apps/{}", rollout.set.name)?;
    for line in align(&rows) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn one(
    rollout: &Rollout,
    line: &RevisionLine,
    format: Option<Format>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if format.is_none() {
        let name = &rollout.set.name;
        writeln!(out, "daemonset.apps/{name} with revision #{}", line.number)?;
    }
    document(format.unwrap_or(Format::Yaml), &line.template, out)
}
