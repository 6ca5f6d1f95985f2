//! What a person can ask of the agent beside the manifests, and how it is refused.

use crate::api::ObjectKey;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End a pod; its set makes a new one where it is eligible.
    DeletePod(ObjectKey),
    /// Something about a set's rollout.
    Rollout(ObjectKey, RolloutCommand),
}

/// What can be asked of a rollout; all of it holds until the set's manifest changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutCommand {
    /// Run an earlier revision: this number, or the one before the present one.
    Undo {
        /// A number of the history.
        to: Option<i64>,
    },
    /// Replace the pod with a new one of the same template.
    Restart,
    /// No update until resumed.
    Pause,
    /// No pause any more.
    Resume,
    /// Let the held revision run.
    Approve,
}

/// Why a request is refused, in the words for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such object.
    NotFound(String),
    /// It makes no sense now.
    Conflict(String),
    /// It could not be written down; nothing was done.
    NotWritten(String),
}
