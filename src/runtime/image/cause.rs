//! Whether a pull failed because the registry could not be reached, or because it refused.
//!
//! The one place where an error's text is read: containerd gives most failed pulls the code Unknown
//! and says in words what happened. The words are those of Go's network packages, which containerd
//! passes on unchanged, and none of them can stand in an image's name: it has no spaces.

use std::error::Error as _;

use tonic::{Code, Status};

/// No connection, or one that broke off.
const UNREACHABLE: [&str; 12] = [
    "dial tcp",
    "no such host",
    "connection refused",
    "connection reset by peer",
    "network is unreachable",
    "no route to host",
    "i/o timeout",
    "TLS handshake timeout",
    "Client.Timeout exceeded",
    "context deadline exceeded",
    // What a pull that made no progress for too long is ended with.
    "context canceled",
    "unexpected EOF",
];

/// An answer, whatever network error is told beside it: a status, or a certificate.
const REFUSED: [&str; 4] = [
    "unexpected status",
    "failed with status code",
    "x509: ",
    "tls: ",
];

/// Whether a pull failed for want of an answer from the registry.
pub(super) fn is_unreachable(status: &Status) -> bool {
    // A source says that the runtime went away, not the registry.
    if status.source().is_some() {
        return false;
    }
    match status.code() {
        Code::Unknown
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Internal => {}
        _ => return false,
    }
    let text = status.message();
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    // A connection closed before an answer is a bare EOF.
    let closed = text.contains("failed to do request") && text.ends_with(": EOF");
    (closed || says(&UNREACHABLE)) && !says(&REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What containerd 1.6.20, 1.7.24 and 2.1.9 said; up to 1.7 behind the first, 2.x behind the second.
    const BEFORE: [&str; 2] = [
        "failed to pull and unpack image \"r.example/a:b\": failed to resolve reference \"r.example/a:b\": ",
        "failed to pull and unpack image \"r.example/a:b\": failed to resolve image: ",
    ];

    fn unreachable(text: &str) -> bool {
        BEFORE.map(|before| is_unreachable(&Status::unknown(format!("{before}{text}"))))
            == [true; 2]
    }

    #[test]
    fn a_registry_that_gives_no_answer_is_unreachable() {
        for text in [
            "failed to do request: Head \"http://127.0.0.1:1/v2/a/manifests/b\": dial tcp 127.0.0.1:1: connect: connection refused",
            "failed to do request: Head \"https://nosuch.invalid/v2/a/manifests/b\": dial tcp: lookup nosuch.invalid on 10.255.255.53:53: no such host",
            "failed to do request: Head \"http://127.0.0.1:29999/v2/s999/x/manifests/1\": EOF",
            "failed to do request: Head \"https://r.example/v2/a/manifests/b\": dial tcp 192.0.2.1:443: i/o timeout",
            "failed to do request: Head \"https://r.example/v2/a/manifests/b\": dial tcp: lookup r.example on [::1]:53: read udp [::1]:3->[::1]:53: read: connection refused",
            "failed to authorize: failed to fetch anonymous token: Get \"https://auth.example/token\": dial tcp 192.0.2.1:443: connect: network is unreachable",
        ] {
            assert!(unreachable(text), "{text}");
        }
    }

    #[test]
    fn a_registry_that_refuses_is_not() {
        for text in [
            "127.0.0.1:29999/s404/x:1: not found",
            "failed to authorize: failed to fetch anonymous token: unable to decode token response: EOF",
            "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth.example/token: 401 Unauthorized",
            "pulling from host 127.0.0.1:29999 failed with status code [manifests 1]: 403 Forbidden",
            "pulling from host 127.0.0.1:29999 failed with status code [manifests 1]: 503 Service Unavailable",
            "unexpected status from HEAD request to http://127.0.0.1:29999/v2/s429/x/manifests/1: 429 Too Many Requests",
            "unexpected status from HEAD request to http://127.0.0.1:29999/v2/s500/x/manifests/1: 500 Internal Server Error",
            "failed to do request: Head \"https://127.0.0.1:29999/v2/s404/x/manifests/1\": tls: first record does not look like a TLS handshake",
            "failed to do request: Head \"https://r.example/v2/a/manifests/b\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "unable to fetch descriptor (sha256:e3b0) which reports content size of zero: invalid argument",
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
        ] {
            for before in BEFORE {
                let status = Status::unknown(format!("{before}{text}"));
                assert!(!is_unreachable(&status), "{text}");
            }
        }
        assert!(!is_unreachable(&Status::not_found("no such host")));
    }

    #[test]
    fn a_runtime_that_goes_away_is_not() {
        let reset = std::io::Error::other("connection reset by peer");
        assert!(!is_unreachable(&Status::from_error(Box::new(reset))));
    }
}
