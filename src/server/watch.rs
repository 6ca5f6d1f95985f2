//! Watches: the list is made anew at each change of the view, and what differs is an event.
//!
//! A watch from a version other than the present one cannot know what changed in between; it tells
//! the present state of everything as `MODIFIED`, which is right for every client that acts on
//! state.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use tokio::time::Instant;

use super::request::{List, Watch};
use super::table::{Form, table};
use super::{Api, objects};
use crate::api::ObjectKey;
use crate::clock::After;

/// The longest a watch stays open when the client names no time.
const LONGEST: Duration = Duration::from_secs(45 * 60);

struct State {
    api: Api,
    list: List,
    form: Form,
    known: BTreeMap<ObjectKey, objects::Item>,
    pending: VecDeque<Bytes>,
    columns_sent: bool,
    deadline: Instant,
}

/// The events of a watch, one line of JSON each, until its time is over or the agent stops.
pub(super) fn events(
    api: Api,
    list: List,
    watch: &Watch,
    form: Form,
) -> BoxStream<'static, Result<Bytes, Infallible>> {
    let timeout = watch
        .timeout
        .map_or(LONGEST, Duration::from_secs)
        .min(LONGEST);
    let mut state = State {
        api,
        list,
        form,
        known: BTreeMap::new(),
        pending: VecDeque::new(),
        columns_sent: false,
        deadline: Instant::now().after(timeout),
    };
    let seen = state.look();
    match watch.since {
        None => state.push_changes(&seen, "ADDED"),
        Some(version) if version == seen.version(state.list.resource) => {
            state.known = state.items(&seen);
        }
        Some(_) => state.push_changes(&seen, "MODIFIED"),
    }
    stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((Ok(event), state))
    })
    .boxed()
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            let cancel = self.api.cancel.clone();
            let of_events = self.list.resource == objects::Resource::Events;
            tokio::select! {
                changed = self.api.events.changed(), if of_events => changed.ok()?,
                changed = self.api.view.changed(), if !of_events => changed.ok()?,
                () = tokio::time::sleep_until(self.deadline) => return None,
                () = cancel.cancelled() => return None,
            }
            let seen = self.look();
            self.push_changes(&seen, "ADDED");
        }
    }

    /// The newest of everything, which is then no news any more.
    fn look(&mut self) -> objects::Seen {
        self.api.view.mark_unchanged();
        self.api.events.mark_unchanged();
        self.api.seen()
    }

    fn items(&self, seen: &objects::Seen) -> BTreeMap<ObjectKey, objects::Item> {
        let items = self.api.select(seen, &self.list).into_iter();
        items.map(|item| (item.key(), item)).collect()
    }

    /// Queues an event for everything that differs; what was not known is told with `new`.
    fn push_changes(&mut self, seen: &objects::Seen, new: &str) {
        let items = self.items(seen);
        let known = std::mem::take(&mut self.known);
        for (key, item) in &known {
            let uid = |item: &objects::Item| item.metadata().uid.clone();
            if items.get(key).is_none_or(|found| uid(found) != uid(item)) {
                self.push("DELETED", item, seen);
            }
        }
        for (key, item) in &items {
            match known.get(key) {
                Some(before) if before == item => {}
                Some(before) if before.metadata().uid == item.metadata().uid => {
                    self.push("MODIFIED", item, seen);
                }
                Some(_) => self.push("ADDED", item, seen),
                None => self.push(new, item, seen),
            }
        }
        self.known = items;
    }

    fn push(&mut self, kind: &str, item: &objects::Item, seen: &objects::Seen) {
        let version = seen.version(self.list.resource).to_string();
        let object = match self.form {
            Form::Plain => item.to_value(&version),
            Form::Table(include) => {
                let now = (self.api.clock)();
                let items = std::slice::from_ref(item);
                let mut table = table(self.list.resource, items, include, &version, now);
                if self.columns_sent {
                    table.column_definitions = None;
                }
                self.columns_sent = true;
                serde_json::to_value(table).expect("a table is JSON")
            }
        };
        let mut line = json!({"type": kind, "object": object}).to_string();
        line.push('\n');
        self.pending.push_back(line.into());
    }
}
