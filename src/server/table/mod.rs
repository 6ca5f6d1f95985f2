//! Lists as tables (`meta.k8s.io/v1` Table), with the columns kube-apiserver gives each resource.

mod pod;
mod rows;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use pod::pod_line;

use super::objects::{AsWritten, Item, Resource};

/// What each row carries besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// The object's metadata only.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

/// How a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// As rows of a table.
    Table(Include),
}

impl Form {
    /// Reads the `Accept` header and the query's `includeObject`.
    pub(super) fn of(accept: &str, include: Option<&str>) -> Self {
        let wants_table = accept.split(',').any(|media| {
            let mut parts = media.split(';').map(str::trim);
            parts.next() == Some("application/json") && parts.any(|p| p == "as=Table")
        });
        match include {
            _ if !wants_table => Self::Plain,
            Some("Object") => Self::Table(Include::Object),
            Some("None") => Self::Table(Include::None),
            _ => Self::Table(Include::Metadata),
        }
    }
}

/// A column: name, type, format, priority.
type Column = (&'static str, &'static str, &'static str, u8);

/// A `meta.k8s.io/v1` Table; `R` is its rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table<R> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Value,
    /// Null in a watch, from the second table on.
    pub(super) column_definitions: Option<Vec<Value>>,
    rows: R,
}

/// A whole table, whose rows are made as they are written.
pub(super) fn table(
    resource: Resource,
    items: &[Item],
    include: Include,
    resource_version: &str,
    now: Timestamp,
) -> Table<impl Serialize> {
    let columns = rows::columns(resource)
        .iter()
        .map(|(name, type_, format, priority)| {
            json!({
                "name": name,
                "type": type_,
                "format": format,
                "description": "",
                "priority": priority,
            })
        });
    Table {
        kind: "Table",
        api_version: "meta.k8s.io/v1",
        metadata: json!({"resourceVersion": resource_version}),
        column_definitions: Some(columns.collect()),
        rows: AsWritten(items, move |item: &Item| {
            row(item, include, resource_version, now)
        }),
    }
}

fn row(item: &Item, include: Include, resource_version: &str, now: Timestamp) -> Value {
    let whole = item.to_value(resource_version);
    let object = match include {
        Include::Object => whole,
        Include::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": whole["metadata"],
        }),
        Include::None => Value::Null,
    };
    json!({"cells": rows::cells(item, now), "object": object})
}
