//! `setlet logs`: the log of a container of a pod, or of a set's pod.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::client::{Client, JSON, encode};
use super::target::{default_container, find_pod};
use crate::api;

/// Which log, and how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A pod, or a set: NAME, NAMESPACE/NAME, pod/NAME or ds/NAME
    target: String,
    /// The namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container; without it the only one, or the pod's default one
    #[arg(short, long)]
    container: Option<String>,
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Of the container before the last restart
    #[arg(short, long)]
    previous: bool,
    /// Only this many lines from the end
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is newer than this, for example 5s, 2m, 3h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Only what was written after this moment (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "since", value_parser = time)]
    since_time: Option<Timestamp>,
    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,
    /// At most this many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
}

/// Prints a log.
pub(super) async fn logs(client: &Client, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
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
    let path = format!("{pod}/log?{}", query(args, &container));
    let mut pieces = client.stream(&path, JSON).await?;
    while let Some(piece) = pieces.next().await? {
        out.write_all(&piece)?;
        out.flush()?;
    }
    Ok(())
}

fn query(args: &Args, container: &str) -> String {
    let mut query = format!("container={}", encode(container));
    let flags = [
        ("follow", args.follow),
        ("previous", args.previous),
        ("timestamps", args.timestamps),
    ];
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        query.push_str(&format!("&{name}=true"));
    }
    // As for kubectl, a negative number means all lines.
    if let Some(lines) = args.tail.filter(|lines| *lines >= 0) {
        query.push_str(&format!("&tailLines={lines}"));
    }
    // As for kubectl, zero of these means no bound.
    if let Some(since) = args.since.filter(|since| !since.is_zero()) {
        query.push_str(&format!("&sinceSeconds={}", since.as_secs_f64().ceil()));
    }
    if let Some(time) = args.since_time {
        query.push_str(&format!("&sinceTime={}", encode(&time.to_string())));
    }
    if let Some(bytes) = args.limit_bytes.filter(|bytes| *bytes > 0) {
        query.push_str(&format!("&limitBytes={bytes}"));
    }
    query
}

/// A duration as Go reads it: `1h30m`, `90s`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    api::duration(text).ok_or_else(|| format!("{text:?} is no duration like 5s, 2m or 3h"))
}

/// A time as Go reads it.
fn time(text: &str) -> Result<Timestamp, String> {
    api::rfc3339(text)
        .ok_or_else(|| format!("{text:?} is no time like 2006-01-02T15:04:05Z (RFC 3339)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5s", 5_000),
            ("1h30m", 5_400_000),
            ("1.5m", 90_000),
            ("500ms", 500),
            ("2000us", 2),
            ("+1.5s500ms", 2_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5d", "-5s", "5s5", "5000000000000000h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_those_of_go() {
        assert_eq!(time("9999-12-31T23:59:59Z"), Ok(Timestamp::MAX));
        for text in [
            "2016-12-31T23:59:60Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00Z[UTC]",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_of_zero_are_none_as_for_kubectl() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let asked = |line: &[&str]| {
            let line = <Line as clap::Parser>::try_parse_from([&["logs", "a"], line].concat());
            query(&line.expect("a command line").args, "c")
        };
        assert_eq!(
            asked(&["--since", "0s", "--limit-bytes", "0"]),
            "container=c"
        );
        let bounds = asked(&["--since", "500ms", "--limit-bytes", "1"]);
        assert_eq!(bounds, "container=c&sinceSeconds=1&limitBytes=1");
    }
}
