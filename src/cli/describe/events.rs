//! The events of an object, at the end of its description.

use serde_json::Value;

use super::page::{NONE, Page};
use crate::cli::client::{Client, TABLE, encode};
use crate::cli::output::Breaks;

/// One event's cells: type, reason, age, component, message.
type Row = Vec<String>;

/// The events that are about an object, the last at the end.
pub(super) async fn of(client: &Client, kind: &str, object: &Value) -> anyhow::Result<Vec<Row>> {
    let meta = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut selector = format!(
        "involvedObject.kind={kind},involvedObject.name={}",
        text(&meta["name"])
    );
    let namespace = match text(&meta["namespace"]) {
        namespace if namespace.is_empty() => "default".to_owned(),
        namespace => namespace,
    };
    // Sets from files have no uid; of pods with one name the uid tells which.
    if kind == "Pod" {
        selector.push_str(&format!(",involvedObject.uid={}", text(&meta["uid"])));
    }
    let path = format!(
        "/api/v1/namespaces/{}/events?includeObject=Object&fieldSelector={}",
        encode(&namespace),
        encode(&selector)
    );
    let found: Value = client.show(&path, TABLE, Breaks::Keep).await?;
    Ok(found["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(row)
        .collect())
}

fn row(row: &Value) -> Row {
    let (cells, event) = (&row["cells"], &row["object"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (last, first) = (text(&cells[0]), text(&cells[7]));
    let age = match event["count"].as_u64() {
        Some(count) if count > 1 => format!("{last} (x{count} over {first})"),
        _ => last,
    };
    let message = text(&cells[6]);
    let message = match event["involvedObject"]["fieldPath"].as_str() {
        Some(field) => format!("{field}: {message}"),
        None => message,
    };
    let component = text(&event["source"]["component"]);
    vec![text(&cells[1]), text(&cells[2]), age, component, message]
}

/// Writes them.
pub(super) fn write(events: &[Row], page: &mut Page) {
    if events.is_empty() {
        page.field(0, "Events", NONE);
        return;
    }
    page.text(0, "Events:");
    let head = ["Type", "Reason", "Age", "From", "Message"];
    let mut rows: Vec<Row> = vec![
        head.map(str::to_owned).into(),
        head.map(|title| "-".repeat(title.len())).into(),
    ];
    rows.extend(events.iter().cloned());
    page.table(1, &rows);
}
