//! Opens a TCP connection and closes it (`pkg/probe/tcp`).

use std::io::{self, ErrorKind};

use tokio::net::TcpStream;

use crate::model::Answer;

pub(super) async fn ask(host: &str, port: u16) -> Answer {
    match TcpStream::connect((host, port)).await {
        Ok(_) => Answer::Success,
        Err(error) => Answer::Failure(refusal(host, port, &error)),
    }
}

/// Why there is no connection, in the words of Go's network package, as kubelet tells it.
pub(super) fn refusal(host: &str, port: u16, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused",
        ErrorKind::HostUnreachable => "connect: no route to host",
        ErrorKind::NetworkUnreachable => "connect: network is unreachable",
        ErrorKind::TimedOut => "i/o timeout",
        _ => return format!("dial tcp {host}:{port}: {error}"),
    };
    format!("dial tcp {host}:{port}: {why}")
}

/// That there was none in time.
pub(super) fn late(host: &str, port: u16) -> String {
    refusal(host, port, &ErrorKind::TimedOut.into())
}
