//! Whether a pull failed because the registry could not be reached, or because it refused.
//!
//! The one place where an error's text is read: containerd gives most failed pulls the code Unknown
//! and says in words what happened.

use tonic::{Code, Status};

/// Words of Go's network errors: no name, no route, no answer, no connection.
const UNREACHABLE: [&str; 14] = [
    "dial tcp",
    "dial udp",
    "no such host",
    "server misbehaving",
    "connection refused",
    "connection reset by peer",
    "network is unreachable",
    "no route to host",
    "i/o timeout",
    "TLS handshake timeout",
    "Client.Timeout exceeded",
    "context deadline exceeded",
    "unexpected EOF",
    "proxyconnect tcp",
];

/// Words of an answer, which decide even when a network error is named beside them.
const REFUSED: [&str; 8] = [
    "unexpected status",
    "not found",
    "unauthorized",
    "authorization failed",
    "denied",
    "401 Unauthorized",
    "403 Forbidden",
    "429 Too Many Requests",
];

/// Whether a pull failed with no answer from the registry.
pub(super) fn is_unreachable(status: &Status) -> bool {
    match status.code() {
        Code::Unknown | Code::Unavailable | Code::DeadlineExceeded | Code::Internal => {}
        _ => return false,
    }
    // The runtime went away, not the registry.
    if crate::runtime::error::is_connection_lost(status) && status.code() != Code::Unavailable {
        return false;
    }
    let says = |words: &[&str]| words.iter().any(|w| status.message().contains(w));
    says(&UNREACHABLE) && !says(&REFUSED)
}
