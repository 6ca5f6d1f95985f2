//! `setlet describe`: everything about an object, and what happened to it, as `kubectl describe`
//! prints it.
//!
//! It prints what the agent answers and works nothing out; times of events are as the agent counts
//! them. A name that nothing has is taken as the beginning of names, as kubectl does.

mod containers;
mod events;
mod node;
mod page;
mod pod;
mod set;
#[cfg(test)]
mod tests;
mod volumes;

use std::io::Write;

use anyhow::bail;
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Client, JSON, encode};
use super::output::Breaks;
use page::Page;

/// What to describe.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What kind of object
    kind: Kind,
    /// The object's name, or what its name begins with; every object where it is left out
    name: Option<String>,
    /// The namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A DaemonSet
    #[value(aliases = ["daemonsets", "ds", "daemonsets.apps"])]
    Daemonset,
    /// A pod
    #[value(aliases = ["pods", "po"])]
    Pod,
    /// This node
    #[value(aliases = ["nodes", "no"])]
    Node,
}

/// Prints the objects, one after another.
pub(super) async fn describe(
    client: &Client,
    args: &Args,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let found: Value = client.show(&path(args), JSON, Breaks::Keep).await?;
    let all = found["items"].as_array().cloned().unwrap_or_default();
    let name = |object: &Value| {
        object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let chosen: Vec<Value> = match &args.name {
        None => all,
        Some(wanted) if all.iter().any(|object| name(object) == *wanted) => all
            .into_iter()
            .filter(|object| name(object) == *wanted)
            .collect(),
        Some(wanted) => all
            .into_iter()
            .filter(|object| name(object).starts_with(wanted))
            .collect(),
    };
    if chosen.is_empty() {
        match &args.name {
            Some(name) => bail!("{} \"{name}\" not found", args.kind.plural()),
            None => crate::cli::complain(&format!(
                "No resources found in {} namespace.",
                args.namespace
            )),
        }
    }
    for (index, object) in chosen.into_iter().enumerate() {
        if index > 0 {
            writeln!(out, "\n")?;
        }
        let events = events::of(client, args.kind.word(), &object).await?;
        let mut page = Page::default();
        match args.kind {
            Kind::Daemonset => set::write(&read(object)?, &mut page),
            Kind::Pod => pod::write(&read(object)?, &mut page),
            Kind::Node => {
                let pods: Value = client.show("/api/v1/pods", JSON, Breaks::Keep).await?;
                let pods = pods["items"].as_array().cloned().unwrap_or_default();
                let pods = pods.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
                node::write(&read(object)?, &pods, &mut page);
            }
        }
        events::write(&events, &mut page);
        page.write(out)?;
    }
    Ok(())
}

fn path(args: &Args) -> String {
    let namespace = encode(&args.namespace);
    match args.kind {
        Kind::Daemonset => format!("/apis/apps/v1/namespaces/{namespace}/daemonsets"),
        Kind::Pod => format!("/api/v1/namespaces/{namespace}/pods"),
        Kind::Node => "/api/v1/nodes".to_owned(),
    }
}

fn read<T: DeserializeOwned>(object: Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(object)?)
}

impl Kind {
    fn plural(self) -> &'static str {
        match self {
            Self::Daemonset => "daemonsets.apps",
            Self::Pod => "pods",
            Self::Node => "nodes",
        }
    }

    /// As events name it.
    fn word(self) -> &'static str {
        match self {
            Self::Daemonset => "DaemonSet",
            Self::Pod => "Pod",
            Self::Node => "Node",
        }
    }
}
