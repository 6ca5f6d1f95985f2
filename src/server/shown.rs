//! What people are shown, with the time of day: reckoned once for each version of view and events, however
//! often it is asked for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::SignedDuration;

use super::objects::Seen;
use crate::model::{EventLog, NodeView};
use crate::status;

/// What was shown last; cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    view: Last<NodeView>,
    events: Last<EventLog>,
}

impl Shown {
    /// The view and the events, with a time of day that is so much ahead of theirs.
    pub(super) fn seen(
        &self,
        view: &Arc<NodeView>,
        events: &Arc<EventLog>,
        ahead: SignedDuration,
    ) -> Seen {
        Seen {
            view: self.view.of(view, ahead, status::shown),
            events: self.events.of(events, ahead, status::shown_events),
        }
    }
}

#[derive(Debug)]
struct Last<T>(Arc<Mutex<Option<Kept<T>>>>);

impl<T> Clone for Last<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[derive(Debug)]
struct Kept<T> {
    /// What it was made of. It keeps nothing but its place in memory, which no other has meanwhile.
    of: Weak<T>,
    ahead: SignedDuration,
    shown: Arc<T>,
}

impl<T> Last<T> {
    fn of(
        &self,
        value: &Arc<T>,
        ahead: SignedDuration,
        show: impl FnOnce(&Arc<T>, SignedDuration) -> Arc<T>,
    ) -> Arc<T> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.is_zero() {
            *last = None;
            return Arc::clone(value);
        }
        if let Some(kept) = &*last
            && kept.ahead == ahead
            && kept.of.as_ptr() == Arc::as_ptr(value)
        {
            return Arc::clone(&kept.shown);
        }
        let shown = show(value, ahead);
        *last = Some(Kept {
            of: Arc::downgrade(value),
            ahead,
            shown: Arc::clone(&shown),
        });
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_reckoned_once_for_each_version_and_step_of_the_clock() {
        let shown = Shown::default();
        let [view, newer] = [3, 4].map(|version| {
            Arc::new(NodeView {
                version,
                ..NodeView::default()
            })
        });
        let events = Arc::default();
        let at = |view: &Arc<NodeView>, hours: i64| {
            shown.seen(view, &events, SignedDuration::from_secs(hours * 3600))
        };
        let (first, again) = (at(&view, 1), at(&view, 1));
        assert!(!Arc::ptr_eq(&first.view, &view), "the times differ");
        assert!(Arc::ptr_eq(&first.view, &again.view));
        assert!(Arc::ptr_eq(&first.events, &again.events));
        let next = at(&newer, 1);
        assert_eq!(next.view.version, 4);
        assert!(Arc::ptr_eq(&first.events, &next.events));
        assert!(!Arc::ptr_eq(&next.view, &at(&newer, 2).view), "a step");
        assert!(Arc::ptr_eq(&at(&newer, 0).view, &newer));
    }
}
