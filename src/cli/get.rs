//! `setlet get`: the objects of this node, as `kubectl get` shows them.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{Client, JSON, TABLE, encode};
use super::output::{self, Format, align, document};

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
    /// Go on with what changes
    #[arg(short, long)]
    watch: bool,
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
    /// What happened of late, the last at the end
    #[value(aliases = ["event", "ev"])]
    Events,
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
    if args.watch {
        anyhow::ensure!(
            matches!(args.output, None | Some(Output::Wide)),
            "--watch prints tables only"
        );
        return watch(client, &path, args, out).await;
    }
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
        Kind::Pods | Kind::Nodes | Kind::Events => "/api/v1",
    }
    .to_owned();
    if args.kind != Kind::Nodes && !args.all_namespaces {
        path.push_str(&format!("/namespaces/{}", encode(&args.namespace)));
    }
    path.push_str(match args.kind {
        Kind::Daemonsets => "/daemonsets",
        Kind::Pods => "/pods",
        Kind::Nodes => "/nodes",
        Kind::Events => "/events",
    });
    let mut query = Vec::new();
    match &args.name {
        // Only a list can be watched, so it is that of one name.
        Some(name) if args.watch => {
            query.push(format!(
                "fieldSelector={}",
                encode(&format!("metadata.name={name}"))
            ));
        }
        Some(name) => path.push_str(&format!("/{}", encode(name))),
        None => {}
    }
    if args.watch {
        query.push("watch=true".to_owned());
    }
    for (name, value) in [
        ("labelSelector", &args.selector),
        ("fieldSelector", &args.field_selector),
    ] {
        query.extend(
            value
                .iter()
                .map(|value| format!("{name}={}", encode(value))),
        );
    }
    if query.is_empty() {
        path
    } else {
        format!("{path}?{}", query.join("&"))
    }
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
    let columns = array(&table["columnDefinitions"]);
    let rows = array(&table["rows"]);
    if rows.is_empty() {
        if args.all_namespaces || args.kind == Kind::Nodes {
            crate::cli::complain("No resources found");
        } else {
            crate::cli::complain(&format!(
                "No resources found in {} namespace.",
                args.namespace
            ));
        }
        return Ok(());
    }
    let mut lines = vec![head(columns, args)];
    lines.extend(rows.iter().map(|row| line(row, columns, args)));
    for line in align(&lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Prints everything there is, then a row for each change, until the watch ends.
async fn watch(
    client: &Client,
    path: &str,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut pieces = client.stream(path, TABLE).await?;
    let (mut columns, mut unread) = (Value::Null, Vec::new());
    // The widest cells so far, so that later rows stand below the first ones.
    let mut widest: Vec<String> = Vec::new();
    while let Some(piece) = pieces.next().await? {
        unread.extend_from_slice(&piece);
        let Some(end) = unread.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        let rest = unread.split_off(end + 1);
        let events = std::mem::replace(&mut unread, rest);
        let mut lines = Vec::new();
        for event in serde_json::Deserializer::from_slice(&events).into_iter::<Value>() {
            let object = event?["object"].take();
            if columns.is_null() {
                columns = object["columnDefinitions"].clone();
                lines.push(head(array(&columns), args));
            }
            let rows = array(&object["rows"]).iter();
            lines.extend(rows.map(|row| line(row, array(&columns), args)));
        }
        lines.push(std::mem::take(&mut widest));
        let mut aligned = align(&lines);
        aligned.pop();
        let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
        widest = (0..columns)
            .map(|column| widest_cell(&lines, column))
            .collect();
        for line in aligned {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    Ok(())
}

fn widest_cell(lines: &[Vec<String>], column: usize) -> String {
    let cells = lines.iter().filter_map(|line| line.get(column));
    cells
        .max_by_key(|cell| cell.chars().count())
        .cloned()
        .unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_shown(column: &Value, args: &Args) -> bool {
    args.output == Some(Output::Wide) || column["priority"] == 0
}

fn head(columns: &[Value], args: &Args) -> Vec<String> {
    let namespace = args
        .all_namespaces
        .then(|| "NAMESPACE".to_owned())
        .into_iter();
    let shown = columns.iter().filter(|column| is_shown(column, args));
    namespace
        .chain(shown.map(|column| text(&column["name"]).to_uppercase()))
        .collect()
}

fn line(row: &Value, columns: &[Value], args: &Args) -> Vec<String> {
    let inside = || text(&row["object"]["metadata"]["namespace"]);
    let namespace = args.all_namespaces.then(inside).into_iter();
    let cells = array(&row["cells"]).iter().zip(columns);
    let shown = cells.filter(|(_, column)| is_shown(column, args));
    namespace.chain(shown.map(|(cell, _)| text(cell))).collect()
}

fn text(cell: &Value) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), output::cell)
}

impl Kind {
    fn singular(self) -> &'static str {
        match self {
            Self::Daemonsets => "daemonset.apps",
            Self::Pods => "pod",
            Self::Nodes => "node",
            Self::Events => "event",
        }
    }
}
