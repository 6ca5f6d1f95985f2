//! `setlet logs`: the log of a container of a pod, or of a set's pod.

use std::io::Write;
use std::time::Duration;

use super::client::{Client, JSON, encode};
use super::target::{default_container, find_pod};

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
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    since_time: Option<jiff::Timestamp>,
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
    if let Some(since) = args.since {
        query.push_str(&format!("&sinceSeconds={}", since.as_secs_f64().ceil()));
    }
    if let Some(time) = args.since_time {
        query.push_str(&format!("&sinceTime={}", encode(&time.to_string())));
    }
    if let Some(bytes) = args.limit_bytes {
        query.push_str(&format!("&limitBytes={bytes}"));
    }
    query
}

/// A duration as Go writes it: `1h30m`, `90s`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration like 5s, 2m or 3h");
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (value, after) = rest.split_at(number);
        let unit = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(wrong()),
        };
        total += value.parse::<f64>().map_err(|_| wrong())? * scale;
        rest = after;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Duration::try_from_secs_f64(total).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("5s", 5.0),
            ("1h30m", 5400.0),
            ("1.5m", 90.0),
            ("500ms", 0.5),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for text in ["", "5", "s", "5d", "-5s", "5s5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
