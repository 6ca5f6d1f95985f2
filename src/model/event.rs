//! What happened, as `core/v1` events tell it: a [`Note`] is one happening, an [`Event`] what a row
//! of equal ones adds up to, the [`EventLog`] those that are remembered. Data only.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{ObjectKey, PodKey};

/// Whether an event is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// It is.
    Normal,
    /// Somebody may have to do something.
    Warning,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Involved {
    /// `Pod`, `DaemonSet` or `Node`.
    pub kind: &'static str,
    /// `v1` or `apps/v1`.
    pub api_version: &'static str,
    /// Its namespace; empty for the node.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; empty where it has none.
    pub uid: String,
    /// The part of it: `spec.containers{NAME}`; empty for the whole.
    pub field_path: String,
}

/// One happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub involved: Involved,
    /// Whether it is as it should be.
    pub event_type: EventType,
    /// The word of the component that Kubernetes would hear it from: `Pulled`, `BackOff`, …
    pub reason: Cow<'static, str>,
    /// What happened, one sentence.
    pub message: String,
}

/// Equal happenings, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's own name, and with its involved object's namespace the key of it.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What happened.
    pub note: Note,
    /// How many times, from 1.
    pub count: u32,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// How many different messages of a kind there were of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kindred {
    /// The different messages, as hashes; no more than make a crowd.
    pub messages: Vec<u64>,
    /// When one was heard last.
    pub last: Timestamp,
}

/// What of a note makes it of a kind with others: all but its message.
pub type KindKey = (Involved, EventType, Cow<'static, str>);

/// The events that are remembered, the one that happened last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventLog {
    /// Grows with every change: the `resourceVersion` of lists of events.
    pub version: u64,
    /// The events.
    pub events: VecDeque<Arc<Event>>,
    /// By kind: what tells one repeated from many different ones.
    pub kindred: BTreeMap<KindKey, Kindred>,
}

impl EventType {
    /// Kubernetes' word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl Involved {
    /// A pod as a whole.
    #[must_use]
    pub fn pod(key: &PodKey) -> Self {
        Self {
            kind: "Pod",
            api_version: "v1",
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: key.uid.as_str().to_owned(),
            field_path: String::new(),
        }
    }

    /// A DaemonSet, which has no uid where it comes from a file.
    #[must_use]
    pub fn set(key: &ObjectKey) -> Self {
        Self {
            kind: "DaemonSet",
            api_version: "apps/v1",
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: String::new(),
            field_path: String::new(),
        }
    }

    /// The node, whose uid is its name in events as kubelet writes them.
    #[must_use]
    pub fn node(name: &str) -> Self {
        Self {
            kind: "Node",
            api_version: "v1",
            namespace: String::new(),
            name: name.to_owned(),
            uid: name.to_owned(),
            field_path: String::new(),
        }
    }

    /// A part of it.
    #[must_use]
    pub fn at(mut self, field_path: String) -> Self {
        self.field_path = field_path;
        self
    }

    /// The namespace that its events are in.
    #[must_use]
    pub fn events_namespace(&self) -> &str {
        match self.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        }
    }
}

impl Note {
    /// Something that is as it should be.
    #[must_use]
    pub fn normal(
        involved: Involved,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            involved,
            event_type: EventType::Normal,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// Something that somebody may have to see to.
    #[must_use]
    pub fn warning(
        involved: Involved,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            event_type: EventType::Warning,
            ..Self::normal(involved, reason, message)
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            involved,
            reason,
            message,
            ..
        } = self;
        write!(
            f,
            "{} {}/{}: {reason}: {message}",
            involved.kind, involved.namespace, involved.name
        )
    }
}
