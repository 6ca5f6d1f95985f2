//! `setlet delete pod NAME`: ends that pod; its set makes a new one where it is eligible.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use hyper::Method;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::Pod;

use super::client::{Client, JSON, encode};

/// How often it is looked whether the pod is gone.
const LOOK: Duration = Duration::from_millis(200);

/// How long it waits without saying for what.
const QUIET: Duration = Duration::from_secs(1);

/// Which pods.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `pod NAME…`, or `pod/NAME…`
    #[arg(required = true, value_name = "pod NAME")]
    what: Vec<String>,
    /// The pods' namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Wait until they are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,
}

/// Ends pods.
pub(super) async fn delete(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for name in names(&args.what)? {
        let base = format!("/api/v1/namespaces/{}/pods", encode(&args.namespace));
        let path = format!("{base}/{}", encode(name));
        let done = client.ask(Method::DELETE, &path).await?;
        writeln!(out, "{done}")?;
        out.flush()?;
        if args.wait {
            wait_until_gone(client, &base, name).await?;
        }
    }
    Ok(())
}

/// Waits, and says what it waits for where that takes its time and whenever that changes.
async fn wait_until_gone(client: &Client, base: &str, name: &str) -> anyhow::Result<()> {
    let (mut waited, mut said) = (Duration::ZERO, String::new());
    while let Some(pod) = find(client, base, name).await? {
        let message = pod.status.and_then(|status| status.message);
        let message = message.unwrap_or_default();
        if waited >= QUIET && message != said {
            crate::cli::complain(&format!("pod {name} is still there: {message}"));
            said = message;
        }
        tokio::time::sleep(LOOK).await;
        waited = waited.saturating_add(LOOK);
    }
    Ok(())
}

async fn find(client: &Client, base: &str, name: &str) -> anyhow::Result<Option<Pod>> {
    let field = encode(&format!("metadata.name={name}"));
    let pods: List<Pod> = client
        .get(&format!("{base}?fieldSelector={field}"), JSON)
        .await?;
    Ok(pods.items.into_iter().next())
}

/// The names in `pod a b` and in `pod/a pod/b`.
fn names(what: &[String]) -> anyhow::Result<Vec<&str>> {
    const KINDS: [&str; 3] = ["pod", "pods", "po"];
    let (first, rest) = what
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    if KINDS.contains(&first) {
        if rest.is_empty() {
            bail!("which pod? setlet delete pod NAME");
        }
        return Ok(rest.iter().map(String::as_str).collect());
    }
    let name = |word: &'_ String| -> Option<usize> {
        let (kind, name) = word.split_once('/')?;
        (KINDS.contains(&kind) && !name.is_empty()).then_some(kind.len() + 1)
    };
    let mut names = Vec::new();
    for word in what {
        match name(word) {
            Some(at) => names.push(&word[at..]),
            None => bail!(
                "\"{word}\": only pods can be deleted, as in setlet delete pod NAME; \
                 a set ends when its manifest is removed"
            ),
        }
    }
    Ok(names)
}
