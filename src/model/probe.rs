//! Probes and hooks as they are carried out: what to ask of a container, how often, and what came
//! of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ContainerName;
use crate::model::ContainerId;

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Until it succeeds, the others wait; when it fails, the container is restarted.
    Startup,
    /// When it fails, the container is restarted.
    Liveness,
    /// Whether the container is ready.
    Readiness,
}

/// One thing to ask of a container, with names and references resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Run a command in the container; its exit status is the answer.
    Exec {
        /// The command, expanded.
        command: Vec<String>,
    },
    /// Send an HTTP GET.
    Http {
        /// To this host; `None` is the node itself, for pods on the host network.
        host: Option<String>,
        /// On this port.
        port: u16,
        /// Path and query as the pod writes them.
        path: String,
        /// Over TLS, without verifying the certificate.
        tls: bool,
        /// Further headers, in order.
        headers: Vec<(String, String)>,
    },
    /// Open a TCP connection.
    Tcp {
        /// To this host; `None` is the node itself.
        host: Option<String>,
        /// On this port.
        port: u16,
    },
    /// Ask the gRPC health service.
    Grpc {
        /// At this host; `None` is the node itself.
        host: Option<String>,
        /// On this port.
        port: u16,
        /// For this service; empty for the server as a whole.
        service: String,
    },
    /// Wait; hooks only.
    Sleep {
        /// That long.
        time: Duration,
    },
    /// Cannot be carried out, and so always fails: a port name nobody has, a `tcpSocket` hook.
    Invalid {
        /// Why.
        why: String,
    },
}

/// A probe's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTiming {
    /// From the container's start to the first probe.
    pub initial_delay: Duration,
    /// From one probe to the next.
    pub period: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Successes in a row that count as success.
    pub successes: u32,
    /// Failures in a row that count as failure.
    pub failures: u32,
}

/// One probe of one running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The container.
    pub id: ContainerId,
    /// Its name, for people.
    pub container: ContainerName,
    /// When it was started.
    pub started_at: Timestamp,
    /// Which probe.
    pub kind: ProbeKind,
    /// What to ask.
    pub check: Check,
    /// How often.
    pub timing: ProbeTiming,
}

/// What one probe answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All is well.
    Success,
    /// It is not, and why.
    Failure(String),
    /// The question could not be put; it counts for nothing.
    Unknown(String),
}

/// The results of one container's probes, after their thresholds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeResults {
    /// The startup probe's result; `None` before the first.
    pub startup: Option<bool>,
    /// The readiness probe's result; `None` before the first.
    pub readiness: Option<bool>,
    /// When startup or readiness last changed.
    pub changed_at: Option<Timestamp>,
    /// The startup or liveness probe that failed: the container is to be restarted.
    pub failed: Option<ProbeFailure>,
}

/// A probe that failed as often as it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// Which probe.
    pub kind: ProbeKind,
    /// Its last answer.
    pub message: String,
}

/// Results by container.
pub type Probed = BTreeMap<ContainerId, ProbeResults>;

impl ProbeKind {
    /// As Kubernetes words it in events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}
