//! Whether a DaemonSet runs on this node, and every rule that had a say.

use serde::{Deserialize, Serialize};

/// What follows when a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IfViolated {
    /// A pod is not started; one that runs is left alone.
    Keep,
    /// A pod is not started, and one that runs is ended.
    Stop,
}

/// One rule with its answer: what `setlet explain` prints a line of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The field or fact that was looked at, for example `spec.template.spec.nodeSelector[disktype]`.
    pub subject: String,
    /// Whether the rule lets the set run here.
    pub holds: bool,
    /// What follows when it does not.
    pub if_violated: IfViolated,
    /// What was wanted and the value that decided, in one line.
    pub because: String,
}

/// The decision for one DaemonSet on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A pod runs here.
    Run,
    /// No pod is started, and a running one stays; with the rules that say so.
    Keep(Vec<Rule>),
    /// No pod runs here; with the rules that say so.
    Stop(Vec<Rule>),
}

impl Verdict {
    /// Whether a pod is to be started where there is none.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self, Self::Run)
    }

    /// Whether a pod that already runs may go on.
    #[must_use]
    pub fn keeps(&self) -> bool {
        !matches!(self, Self::Stop(_))
    }

    /// The rules that are against running here.
    #[must_use]
    pub fn violated(&self) -> &[Rule] {
        match self {
            Self::Run => &[],
            Self::Keep(rules) | Self::Stop(rules) => rules,
        }
    }
}
