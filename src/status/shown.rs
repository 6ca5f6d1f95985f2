//! What people are shown, in the time of day: views and events are on the line that everything is
//! decided on, and the time of day is so much ahead of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::time::shifted;
use crate::model::{
    ContainerState, DesiredPod, EventLog, ImageState, NodeView, ObservedPod, PodRecord, PodReport,
    Reason, SetReport,
};

/// The view with the time of day.
#[must_use]
pub fn shown(view: &Arc<NodeView>, ahead: SignedDuration) -> Arc<NodeView> {
    if ahead.is_zero() {
        return Arc::clone(view);
    }
    let by = By(ahead);
    let mut view = NodeView::clone(view);
    for pod in view.pods.values_mut() {
        by.pod(pod);
    }
    for set in view.sets.values_mut() {
        by.set(Arc::make_mut(set));
    }
    by.reasons(&mut view.archives);
    view.runtime.iter_mut().for_each(|reason| by.reason(reason));
    Arc::new(view)
}

/// The events with the time of day.
#[must_use]
pub fn shown_events(log: &Arc<EventLog>, ahead: SignedDuration) -> Arc<EventLog> {
    if ahead.is_zero() {
        return Arc::clone(log);
    }
    let by = By(ahead);
    let mut log = EventLog::clone(log);
    for event in &mut log.events {
        let event = Arc::make_mut(event);
        by.time(&mut event.first);
        by.time(&mut event.last);
    }
    Arc::new(log)
}

struct By(SignedDuration);

impl By {
    fn time(&self, at: &mut Timestamp) {
        // The epoch stands for never.
        if *at != Timestamp::UNIX_EPOCH {
            *at = shifted(*at, self.0);
        }
    }

    fn times<'a>(&self, all: impl IntoIterator<Item = &'a mut Timestamp>) {
        all.into_iter().for_each(|at| self.time(at));
    }

    fn reason(&self, reason: &mut Reason) {
        self.times(&mut reason.retry_at);
    }

    fn reasons(&self, reasons: &mut [Reason]) {
        reasons.iter_mut().for_each(|reason| self.reason(reason));
    }

    fn pod(&self, pod: &mut PodReport) {
        self.want(Arc::make_mut(&mut pod.want));
        if let Some(have) = &mut pod.have {
            self.have(Arc::make_mut(have));
        }
        self.times(&mut pod.looked_at);
        let plan = Arc::make_mut(&mut pod.plan);
        self.times(&mut plan.wake_at);
        self.reasons(&mut plan.reasons);
        for image in Arc::make_mut(&mut pod.images).values_mut() {
            match image {
                ImageState::Pulling { since, .. } => self.time(since),
                ImageState::Present { at, .. } => self.time(at),
                ImageState::Failed(failure) => self.time(&mut failure.last),
                ImageState::Queued | ImageState::Importing | ImageState::Unpacking => {}
            }
        }
        for probe in Arc::make_mut(&mut pod.probes).values_mut() {
            self.times(&mut probe.changed_at);
        }
    }

    fn want(&self, want: &mut DesiredPod) {
        let record: &mut PodRecord = Arc::make_mut(&mut want.record);
        self.time(&mut record.created_at);
        self.times(&mut record.ending_since);
        self.times(&mut want.look_at);
        self.reasons(&mut want.held);
        if let Some(term) = &mut want.term {
            self.times([&mut term.since, &mut term.until]);
        }
    }

    fn have(&self, have: &mut ObservedPod) {
        self.times(
            have.sandboxes
                .iter_mut()
                .map(|sandbox| &mut sandbox.created_at),
        );
        for container in &mut have.containers {
            self.time(&mut container.created_at);
            match &mut container.state {
                ContainerState::Running { started_at } => self.time(started_at),
                ContainerState::Exited {
                    started_at,
                    finished_at,
                    ..
                } => self.times([started_at, finished_at]),
                ContainerState::Created | ContainerState::Unknown => {}
            }
        }
    }

    fn set(&self, set: &mut SetReport) {
        self.reasons(&mut set.reasons);
        let Some(rollout) = &mut set.rollout else {
            return;
        };
        let record = Arc::make_mut(&mut rollout.record);
        self.times(
            record
                .ended
                .iter_mut()
                .flat_map(|reason| &mut reason.retry_at),
        );
        for revision in &mut record.revisions {
            self.times(&mut revision.trial_since);
            self.times(&mut revision.good_since);
            self.times(revision.bad.iter_mut().map(|bad| &mut bad.at));
        }
    }
}
