//! What the agent's tasks tell each other by.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::events::{self, EventSink};
use super::reporter::Reporter;
use crate::blocking::Blocking;
use crate::clock;
use crate::config::{Config, Loaded};
use crate::model::{EventLog, NodeFacts, Snapshot};
use crate::runtime::Hint;

/// Hints that may wait for a worker that is busy; one that falls behind looks at everything.
const HINTS: usize = 256;

/// The channels between the agent's tasks.
pub(super) struct Channels {
    pub(super) cancel: CancellationToken,
    pub(super) hints: broadcast::Sender<Hint>,
    pub(super) loaded: watch::Sender<Loaded>,
    pub(super) node: watch::Sender<Arc<NodeFacts>>,
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) reporter: Reporter,
    pub(super) sink: EventSink,
    pub(super) events: watch::Sender<Arc<EventLog>>,
    pub(super) blocking: Blocking,
}

impl Channels {
    /// Channels on which nothing was said yet.
    pub(super) fn new(
        config: &Arc<Config>,
        facts: Arc<NodeFacts>,
        sink: EventSink,
        blocking: Blocking,
    ) -> Self {
        Self {
            cancel: CancellationToken::new(),
            hints: broadcast::Sender::new(HINTS),
            loaded: watch::Sender::new(Loaded {
                config: Arc::clone(config),
                error: None,
            }),
            node: watch::Sender::new(facts),
            snapshot: watch::Sender::new(Arc::default()),
            reporter: Reporter::new(clock::steady()),
            sink,
            events: events::publisher(clock::steady()),
            blocking,
        }
    }
}
