//! Publishes the newest view of everything, from which server, commands and service manager answer.
//!
//! Every publication raises the view's version; one that would change nothing is not made.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::{ObjectKey, Uid};
use crate::model::{NodeFacts, NodeView, PodReport, Reason, SetReport, Snapshot, SourceCondition};

/// The sending end of the view; clones publish the same view.
#[derive(Clone)]
pub struct Reporter {
    view: watch::Sender<Arc<NodeView>>,
}

impl Reporter {
    /// A view in which nothing is known yet. Its version is higher than any of an earlier life.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let version = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let view = NodeView {
            version,
            ..NodeView::default()
        };
        Self {
            view: watch::Sender::new(Arc::new(view)),
        }
    }

    /// A receiver of every later view.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<NodeView>> {
        self.view.subscribe()
    }

    /// The runtime's name and version, for example `containerd://1.6.20`.
    pub fn report_runtime_version(&self, text: String) {
        self.change(
            |view| view.runtime_version != text,
            |view| view.runtime_version = text.clone(),
        );
    }

    /// Why the runtime cannot be asked, `None` when it can.
    pub fn report_runtime(&self, trouble: Option<&Reason>) {
        self.change(
            |view| view.runtime.as_ref() != trouble,
            |view| view.runtime = trouble.cloned(),
        );
    }

    /// Why pods can have no network, `None` when they can.
    pub fn report_network(&self, trouble: Option<&Reason>) {
        self.change(
            |view| view.network.as_ref() != trouble,
            |view| view.network = trouble.cloned(),
        );
    }

    /// What keeps the agent as a whole from doing what it should.
    pub fn report_troubles(&self, troubles: &[Reason]) {
        self.change(
            |view| view.troubles != troubles,
            |view| view.troubles = troubles.to_vec(),
        );
    }

    /// What of the agent's own does not answer.
    pub fn report_unanswered(&self, reasons: &[Reason]) {
        self.change(
            |view| view.unanswered != reasons,
            |view| view.unanswered = reasons.to_vec(),
        );
    }

    /// Why image archives could not be imported.
    pub fn report_archives(&self, reasons: &[Reason]) {
        self.change(
            |view| view.archives != reasons,
            |view| view.archives = reasons.to_vec(),
        );
    }

    /// What came of a pass of the coordinator. A view that was ready stays so.
    pub fn report_pass(
        &self,
        node: &Arc<NodeFacts>,
        snapshot: &Arc<Snapshot>,
        sets: &BTreeMap<ObjectKey, Arc<SetReport>>,
        pods: &BTreeMap<Uid, PodReport>,
        planned: Planned,
    ) {
        let ready = planned == Planned::All;
        let changed = |view: &NodeView| {
            !Arc::ptr_eq(&view.node, node)
                || !Arc::ptr_eq(&view.snapshot, snapshot)
                || (ready && !view.ready)
                || view.sets != *sets
                || view.pods != *pods
        };
        self.change(changed, |view| {
            view.node = Arc::clone(node);
            view.snapshot = Arc::clone(snapshot);
            view.sets.clone_from(sets);
            view.pods.clone_from(pods);
            view.ready |= ready;
        });
    }

    fn change(&self, needed: impl Fn(&NodeView) -> bool, change: impl Fn(&mut NodeView)) {
        self.view.send_if_modified(|view| {
            let needed = needed(view);
            if needed {
                let view = Arc::make_mut(view);
                change(view);
                view.version += 1;
            }
            needed
        });
    }
}

/// How much a pass of the coordinator could plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// A synced snapshot, with the runtime's inventory at hand.
    All,
    /// Less than that.
    Part,
}

/// Whether the sources could be looked at, in order or not: when the agent has nothing left to wait
/// for before it calls itself started. A runtime that does not answer is no reason to start again.
#[must_use]
pub fn is_settled(view: &NodeView) -> bool {
    view.ready
        || view.runtime.is_some()
        || matches!(view.snapshot.condition, SourceCondition::Unreadable(_))
}
