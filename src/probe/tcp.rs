//! Opens a TCP connection and closes it (`pkg/probe/tcp`).

use tokio::net::TcpStream;

use crate::model::Answer;

pub(super) async fn ask(host: &str, port: u16) -> Answer {
    match TcpStream::connect((host, port)).await {
        Ok(_) => Answer::Success,
        Err(error) => Answer::Failure(format!("dial tcp {host}:{port}: {error}")),
    }
}
