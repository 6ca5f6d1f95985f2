//! A port of the host.

use std::fmt;

/// One port of the host that a pod declares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The port.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The host's address; empty for all of them.
    pub ip: String,
}

impl HostPort {
    /// The reason's word of a pod that cannot have its host ports.
    pub const CONFLICT: &str = "HostPortConflict";
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.ip.is_empty() {
            write!(f, "{}:", self.ip)?;
        }
        write!(f, "{}/{}", self.port, self.protocol)
    }
}
