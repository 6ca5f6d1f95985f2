//! `setlet version`: this program, and the agent with its runtime where one answers.

use std::io::Write;

use serde_json::{Value, json};

use super::client::{Client, JSON};
use super::output::{Format, document};
use crate::server::NodeReport;

/// How to print it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print as json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
    /// Do not ask the agent
    #[arg(long)]
    client: bool,
}

/// Prints the versions; an agent that does not answer is said so, and is no failure.
pub(super) async fn version(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let own = env!("CARGO_PKG_VERSION");
    let agent = if args.client {
        None
    } else {
        Some(
            client
                .get::<NodeReport>("/apis/setlet.dev/v1/status", JSON)
                .await,
        )
    };
    if let Some(format) = args.output {
        let agent = match agent {
            None => Value::Null,
            Some(Ok(report)) => json!({
                "version": report.version,
                "runtime": report.runtime_version,
            }),
            Some(Err(error)) => json!({"error": error.to_string()}),
        };
        return document(
            format,
            &json!({"client": {"version": own}, "agent": agent}),
            out,
        );
    }
    writeln!(out, "setlet   {own}")?;
    match agent {
        None => {}
        Some(Ok(report)) => {
            writeln!(out, "agent    {}", report.version)?;
            let runtime = match &report.runtime {
                Some(reason) => format!("not reachable: {}", reason.message),
                None => report.runtime_version,
            };
            writeln!(out, "runtime  {runtime}")?;
        }
        Some(Err(error)) => writeln!(out, "agent    {error}")?,
    }
    Ok(())
}
