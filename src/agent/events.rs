//! The task that owns the events, and the end by which everybody else tells of something.
//!
//! It adds up, bounds and publishes ([`status::events`] says how) and decides nothing. Events are
//! remembered in memory only: they are a help to people, and nothing is decided by them. What the
//! documents of the manifests directory and the runtime's state give rise to is told here, of all
//! else by those who do it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::Channels;
use super::tasks::Tasks;
use crate::api::ObjectKey;
use crate::clock;
use crate::model::time::between;
use crate::model::{EventLog, Involved, NodeView, Note, Snapshot};
use crate::status::events::{expire, next_expiry, record};

/// Notes that may wait for the task.
const WAITING: usize = 256;
/// Expired events are looked for no more often.
const SWEEP: Duration = Duration::from_secs(60);

/// Where happenings are told. Telling never waits: what finds the task too far behind is not told.
#[derive(Debug, Clone)]
pub struct EventSink(mpsc::Sender<Note>);

impl EventSink {
    /// An end and what [`keep_events`] hears by it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Note>) {
        let (sender, heard) = mpsc::channel(WAITING);
        (Self(sender), heard)
    }

    /// Tells of one happening.
    pub fn tell(&self, note: Note) {
        if let Err(error) = self.0.try_send(note) {
            debug!(%error, "an event is lost");
        }
    }

    /// Tells of something that a set's controller did: `SuccessfulCreate`, `SuccessfulDelete`.
    pub fn of_set(&self, set: &ObjectKey, reason: &'static str, message: String) {
        self.tell(Note::normal(Involved::set(set), reason, message));
    }

    /// Tells of something that a set's controller could not do: `FailedCreate`.
    pub fn warn_of_set(&self, set: &ObjectKey, reason: &'static str, message: String) {
        self.tell(Note::warning(Involved::set(set), reason, message));
    }
}

/// The publishing end of the events. Their version is higher than any of an earlier life.
#[must_use]
pub fn publisher(now: Timestamp) -> watch::Sender<Arc<EventLog>> {
    watch::Sender::new(Arc::new(EventLog {
        version: u64::try_from(now.as_millisecond()).unwrap_or_default(),
        ..EventLog::default()
    }))
}

/// What the task listens to.
struct Inputs {
    /// What is told.
    notes: mpsc::Receiver<Note>,
    /// The sources: documents that are refused.
    snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The view: whether the runtime answers.
    view: watch::Receiver<Arc<NodeView>>,
    /// The time on the line.
    clock: fn() -> Timestamp,
}

/// Starts the task.
pub(super) fn start(tasks: &mut Tasks, channels: &Channels, notes: mpsc::Receiver<Note>) {
    let inputs = Inputs {
        notes,
        snapshot: channels.snapshot.subscribe(),
        view: channels.reporter.subscribe(),
        clock: clock::steady,
    };
    let (log, cancel) = (channels.events.clone(), channels.cancel.clone());
    tasks.start("event log", keep_events(inputs, log, cancel));
}

/// Keeps the events until it is cancelled.
async fn keep_events(
    mut inputs: Inputs,
    log: watch::Sender<Arc<EventLog>>,
    cancel: CancellationToken,
) {
    let clock = inputs.clock;
    let mut sources = Arc::clone(&inputs.snapshot.borrow_and_update());
    let mut ready = None;
    let tell = |note: Note| {
        debug!(%note, "event");
        log.send_modify(|log| {
            record(
                Arc::make_mut(log),
                note,
                clock(),
                Uuid::new_v4().to_string(),
            )
        });
    };
    loop {
        let expiry = next_expiry(&log.borrow());
        let sweep = async {
            let Some(at) = expiry else {
                return std::future::pending().await;
            };
            let left = between(clock(), at);
            tokio::time::sleep(left.max(SWEEP)).await;
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            Some(note) = inputs.notes.recv() => tell(note),
            Ok(()) = inputs.snapshot.changed() => {
                let newest = Arc::clone(&inputs.snapshot.borrow_and_update());
                refused(&sources, &newest).into_iter().for_each(tell);
                sources = newest;
            }
            Ok(()) = inputs.view.changed() => {
                let view = Arc::clone(&inputs.view.borrow_and_update());
                node_state(&view, &mut ready).into_iter().for_each(tell);
            }
            () = sweep => {
                log.send_if_modified(|log| expire(Arc::make_mut(log), clock()));
            }
        }
    }
}

/// Documents of sets that are refused now and were not before, as kubelet tells of manifests.
fn refused(before: &Snapshot, now: &Snapshot) -> Vec<Note> {
    let new = now
        .refused
        .iter()
        .filter(|one| !before.refused.contains(one));
    new.filter_map(|refused| {
        let goes_on = if refused.last_good {
            "; the earlier version goes on"
        } else {
            ""
        };
        let message = format!(
            "{}, document {}: refused{goes_on}: {}",
            refused.origin.file,
            refused.origin.document,
            refused.errors.join("; ")
        );
        Some(Note::warning(
            Involved::set(refused.set.as_ref()?),
            "FailedValidation",
            message,
        ))
    })
    .collect()
}

/// What to tell of the node: that the agent started, and whether the runtime answers, at first and
/// when that changes.
fn node_state(view: &NodeView, ready: &mut Option<bool>) -> Vec<Note> {
    if view.node.name.is_empty() {
        return Vec::new();
    }
    let name = &view.node.name;
    let is_ready = view.ready && view.trouble().is_none();
    let mut notes = Vec::new();
    if ready.is_none() {
        notes.push(Note::normal(
            Involved::node(name),
            "Starting",
            "Starting setlet.",
        ));
    }
    if ready.unwrap_or(false) != is_ready {
        let reason = if is_ready {
            "NodeReady"
        } else {
            "NodeNotReady"
        };
        let message = format!("Node {name} status is now: {reason}");
        notes.push(Note::normal(Involved::node(name), reason, message));
    }
    *ready = Some(is_ready);
    notes
}
