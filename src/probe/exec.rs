//! Runs a command in the container (`pkg/probe/exec`): status 0 is success, any other and a timeout
//! is failure; a command that could not be run at all says nothing.

use std::time::Duration;

use crate::model::{Answer, ContainerId};
use crate::runtime::{Error, Runtime};

/// Bytes of a command's output that are kept for the message, as kubelet does.
const KEPT: usize = 10 << 10;

pub(super) async fn ask(
    runtime: &Runtime,
    container: &ContainerId,
    command: Vec<String>,
    timeout: Duration,
) -> Answer {
    match runtime.exec_sync(container, command, timeout).await {
        Ok((0, _)) => Answer::Success,
        Ok((status, output)) => Answer::Failure(failure(status, &output)),
        Err(error) if timed_out(&error) => {
            Answer::Failure(format!("command timed out after {} s", timeout.as_secs()))
        }
        Err(error) => Answer::Unknown(error.line()),
    }
}

/// A status with what was printed, in one line.
pub(super) fn failure(status: i32, output: &[u8]) -> String {
    let output = String::from_utf8_lossy(&output[..output.len().min(KEPT)]);
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    match output.as_str() {
        "" => format!("command exited with {status}"),
        output => format!("command exited with {status}: {output}"),
    }
}

fn timed_out(error: &Error) -> bool {
    let code = error.status().map(tonic::Status::code);
    code == Some(tonic::Code::DeadlineExceeded)
}
