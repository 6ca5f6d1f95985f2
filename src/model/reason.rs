//! Why something is not (yet) as wanted: a Kubernetes reason word and a sentence for people.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One reason. `word` is what Kubernetes shows in the same case (`ImagePullBackOff`,
/// `CreateContainerConfigError`, `FailedMount`, …), so that people and programs recognise it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The CamelCase reason word.
    pub word: String,
    /// What is wrong, with the field or value, and what would be right; one line.
    pub message: String,
    /// The container it is about, where it is about one.
    pub container: Option<String>,
    /// When the agent tries again by itself, where it waits for a time.
    pub retry_at: Option<Timestamp>,
}

impl Reason {
    /// The word for what waits until the runtime has a network for pods.
    pub const NETWORK_NOT_READY: &str = "NetworkNotReady";
    /// The word for a pod that cannot have a host path to itself.
    pub const HOST_PATH_CONFLICT: &str = "HostPathConflict";

    /// A reason about a whole pod or set.
    #[must_use]
    pub fn new(word: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            message: message.into(),
            container: None,
            retry_at: None,
        }
    }

    /// The same reason, about one container.
    #[must_use]
    pub fn of_container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// The same reason, with the time of the next try.
    #[must_use]
    pub fn retried_at(mut self, at: Timestamp) -> Self {
        self.retry_at = Some(at);
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            Some(container) => write!(f, "{} ({container}): {}", self.word, self.message),
            None => write!(f, "{}: {}", self.word, self.message),
        }
    }
}
