//! `setlet status`: what the agent does, once or again each second.

use std::io::Write;
use std::time::Duration;

use super::client::{Client, JSON};
use super::output::{Breaks, Colour, Format, document};
use super::status_text;
use crate::server::NodeReport;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show it again each second
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,
    /// Print as json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

const PATH: &str = "/apis/setlet.dev/v1/status";

/// Shows the status.
pub(super) async fn status(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let colour = Colour::of_stdout();
    if !args.watch {
        return match args.output {
            Some(format) => document(format, &client.get::<NodeReport>(PATH, JSON).await?, out),
            None => {
                let report = client.show(PATH, JSON, Breaks::Escape).await?;
                Ok(out.write_all(status_text::render(&report, colour).as_bytes())?)
            }
        };
    }
    // The first answer must come; later ones may be missing while the agent is restarted.
    let mut text = status_text::render(&client.show(PATH, JSON, Breaks::Escape).await?, colour);
    loop {
        // On a terminal each picture takes the place of the last one.
        let clear = if colour == Colour::On {
            "\x1b[H\x1b[2J"
        } else {
            ""
        };
        write!(out, "{clear}{text}")?;
        out.flush()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        text = match client.show::<NodeReport>(PATH, JSON, Breaks::Escape).await {
            Ok(report) => status_text::render(&report, colour),
            Err(error) => format!("{error:#}\n"),
        };
    }
}
