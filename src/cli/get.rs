//! `setlet get`: the objects of this node, as `kubectl get` shows them.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{Client, JSON, TABLE, encode};
use super::output::{Format, align, document};

/// What to get.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What kind of object
    kind: Kind,
    /// The object's name
    name: Option<String>,
    /// The namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Objects of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "name")]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long, value_name = "FIELDS", conflicts_with = "name")]
    field_selector: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// DaemonSets
    #[value(aliases = ["daemonset", "ds", "daemonsets.apps"])]
    Daemonsets,
    /// Pods
    #[value(aliases = ["pod", "po"])]
    Pods,
    /// This node
    #[value(aliases = ["node", "no"])]
    Nodes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
    Yaml,
    /// A table with more columns
    Wide,
    /// KIND/NAME only
    Name,
}

/// Prints objects.
pub(super) async fn get(client: &Client, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = path(args);
    match args.output {
        None => table(&client.get(&path, TABLE).await?, args, out),
        Some(Output::Wide) => table(&client.get(&path, TABLE).await?, args, out),
        Some(Output::Json) => document(Format::Json, &plain(client, &path).await?, out),
        Some(Output::Yaml) => document(Format::Yaml, &plain(client, &path).await?, out),
        Some(Output::Name) => {
            let objects = plain(client, &path).await?;
            let one = [objects.clone()];
            for object in objects["items"].as_array().map_or(&one[..], Vec::as_slice) {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                writeln!(out, "{}/{name}", args.kind.singular())?;
            }
            Ok(())
        }
    }
}

fn path(args: &Args) -> String {
    let mut path = match args.kind {
        Kind::Daemonsets => "/apis/apps/v1",
        Kind::Pods | Kind::Nodes => "/api/v1",
    }
    .to_owned();
    if args.kind != Kind::Nodes && !args.all_namespaces {
        path.push_str(&format!("/namespaces/{}", encode(&args.namespace)));
    }
    path.push_str(match args.kind {
        Kind::Daemonsets => "/daemonsets",
        Kind::Pods => "/pods",
        Kind::Nodes => "/nodes",
    });
    if let Some(name) = &args.name {
        path.push_str(&format!("/{}", encode(name)));
    }
    let selectors = [
        ("labelSelector", &args.selector),
        ("fieldSelector", &args.field_selector),
    ];
    let selectors = selectors.iter().filter_map(|(name, value)| {
        value
            .as_ref()
            .map(|value| format!("{name}={}", encode(value)))
    });
    let selectors: Vec<_> = selectors.collect();
    if !selectors.is_empty() {
        path.push_str(&format!("?{}", selectors.join("&")));
    }
    path
}

/// An object, or objects as kubectl prints a list of them.
async fn plain(client: &Client, path: &str) -> anyhow::Result<Value> {
    let found: Value = client.get(path, JSON).await?;
    Ok(match found.get("items") {
        None => found,
        Some(items) => json!({
            "apiVersion": "v1",
            "items": items,
            "kind": "List",
            "metadata": {"resourceVersion": ""},
        }),
    })
}

fn table(table: &Value, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let empty = Vec::new();
    let columns = table["columnDefinitions"].as_array().unwrap_or(&empty);
    let rows = table["rows"].as_array().unwrap_or(&empty);
    if rows.is_empty() {
        if args.all_namespaces || args.kind == Kind::Nodes {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", args.namespace);
        }
        return Ok(());
    }
    let wide = args.output == Some(Output::Wide);
    let shown = |column: &Value| wide || column["priority"] == 0;
    let namespace = |text: &str| args.all_namespaces.then(|| text.to_owned()).into_iter();
    let head = columns
        .iter()
        .filter(|c| shown(c))
        .map(|c| text(&c["name"]).to_uppercase());
    let mut lines: Vec<Vec<String>> = vec![namespace("NAMESPACE").chain(head).collect()];
    for row in rows {
        let cells = row["cells"]
            .as_array()
            .unwrap_or(&empty)
            .iter()
            .zip(columns);
        let cells = cells
            .filter(|(_, column)| shown(column))
            .map(|(cell, _)| text(cell));
        let inside = row["object"]["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default();
        lines.push(namespace(inside).chain(cells).collect());
    }
    for line in align(&lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn text(cell: &Value) -> String {
    cell.as_str()
        .map_or_else(|| cell.to_string(), str::to_owned)
}

impl Kind {
    fn singular(self) -> &'static str {
        match self {
            Self::Daemonsets => "daemonset.apps",
            Self::Pods => "pod",
            Self::Nodes => "node",
        }
    }
}
