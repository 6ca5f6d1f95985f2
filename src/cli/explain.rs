//! `setlet explain SET`: every rule with its answer, and why its pod is not running.

use std::io::Write;

use super::client::{Client, JSON, encode};
use super::output::{Breaks, Colour, Format, document};
use super::status_text::{pull_text, reason_text};
use crate::api::ObjectKey;
use crate::model::Verdict;
use crate::server::{Explanation, NodeReport, SetExplanation};

/// Which set.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The DaemonSet: NAME, or NAMESPACE/NAME
    set: String,
    /// The set's namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Print as json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Prints why a set runs here or does not.
pub(super) async fn explain(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let key = find_set(client, &args.set, args.namespace.as_deref()).await?;
    let path = format!(
        "/apis/setlet.dev/v1/namespaces/{}/daemonsets/{}/explain",
        encode(&key.namespace),
        encode(&key.name)
    );
    match args.output {
        Some(format) => document(format, &client.get::<Explanation>(&path, JSON).await?, out),
        None => {
            let explanation = client.show(&path, JSON, Breaks::Escape).await?;
            Ok(out.write_all(render(&key, &explanation, Colour::of_stdout()).as_bytes())?)
        }
    }
}

/// The set that is meant by `NAMESPACE/NAME` or `NAME`. Without a namespace it is the one in
/// `default`, else the only one of that name there is.
pub(super) async fn find_set(
    client: &Client,
    text: &str,
    namespace: Option<&str>,
) -> anyhow::Result<ObjectKey> {
    if let Some((inside, name)) = text.split_once('/') {
        anyhow::ensure!(
            namespace.is_none_or(|n| n == inside),
            "{text} names another namespace than -n {}",
            namespace.unwrap_or_default()
        );
        return Ok(ObjectKey::new(inside, name));
    }
    if let Some(namespace) = namespace {
        return Ok(ObjectKey::new(namespace, text));
    }
    let report: NodeReport = client.get("/apis/setlet.dev/v1/status", JSON).await?;
    let refused = report.refused.iter().filter_map(|r| r.set.as_ref());
    let mut found: Vec<_> = report
        .sets
        .iter()
        .map(|set| &set.key)
        .chain(refused)
        .collect();
    found.retain(|key| key.name == text);
    found.sort_by_key(|key| (key.namespace != "default", key.namespace.clone()));
    found.dedup();
    match found.as_slice() {
        [] => Ok(ObjectKey::new("default", text)),
        [first, rest @ ..] if first.namespace == "default" || rest.is_empty() => {
            Ok((*first).clone())
        }
        several => {
            let names: Vec<_> = several.iter().map(ToString::to_string).collect();
            anyhow::bail!(
                "there are several sets {text}: {}; name one of them",
                names.join(", ")
            )
        }
    }
}

fn render(key: &ObjectKey, explanation: &Explanation, colour: Colour) -> String {
    let mut text = match &explanation.set {
        Some(set) => set_text(key, set, explanation, colour),
        None => format!(
            "{key} does not run on node {}: its manifest is refused\n",
            explanation.node
        ),
    };
    if let Some(reason) = &explanation.runtime {
        text.push_str(&format!(
            "\nthe runtime: {}\n",
            reason_text(reason, explanation.now)
        ));
    }
    for refused in &explanation.refused {
        let goes_on = if refused.last_good {
            ", the earlier version goes on"
        } else {
            ""
        };
        text.push_str(&format!("\nrefused{goes_on}: {}\n", refused.origin));
        for error in &refused.errors {
            text.push_str(&format!("  {error}\n"));
        }
    }
    text
}

fn set_text(
    key: &ObjectKey,
    set: &SetExplanation,
    explanation: &Explanation,
    colour: Colour,
) -> String {
    let verdict = match set.line.verdict {
        Verdict::Run => "runs",
        Verdict::Keep(_) => "is not started, a running pod stays,",
        Verdict::Stop(_) => "does not run",
    };
    let mut text = format!("{key} {verdict} on node {}\n", explanation.node);
    if let Some(origin) = &set.line.origin {
        text.push_str(&format!("read from {origin}\n"));
    }
    text.push_str("\nrules:\n");
    if set.rules.is_empty() {
        text.push_str("  yes  it names no node, label or affinity, and the node has no taint\n");
    }
    for rule in &set.rules {
        let answer = if rule.holds {
            colour.paint(32, "yes")
        } else {
            colour.paint(31, "no ")
        };
        text.push_str(&format!("  {answer}  {}: {}\n", rule.subject, rule.because));
    }
    for reason in &set.line.reasons {
        text.push_str(&format!(
            "\nheld back: {}\n",
            reason_text(reason, explanation.now)
        ));
    }
    for pod in &set.line.pods {
        text.push_str(&format!(
            "\npod {}: {}, {}/{} ready, {} restarts\n",
            pod.key.name, pod.state, pod.ready, pod.total, pod.restarts
        ));
        let pulls = pod
            .pulls
            .iter()
            .map(|pull| pull_text(pull, explanation.now));
        let reasons = pod
            .reasons
            .iter()
            .map(|reason| reason_text(reason, explanation.now));
        for line in pulls.chain(reasons) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}
