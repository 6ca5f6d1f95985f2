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
    let words = command.join(" ");
    match runtime.exec_sync(container, command, timeout).await {
        Ok((0, _)) => Answer::Success,
        Ok((status, output)) => Answer::Failure(said(status, &output)),
        Err(error) if timed_out(&error) => Answer::Failure(format!(
            "command timed out: {words:?} timed out after {}s",
            timeout.as_secs()
        )),
        Err(error) => Answer::Unknown(error.line()),
    }
}

/// What was printed, as kubelet tells it; the status where nothing was.
fn said(status: i32, output: &[u8]) -> String {
    match in_one_line(output) {
        output if output.is_empty() => failure(status, b""),
        output => output,
    }
}

fn in_one_line(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(&output[..output.len().min(KEPT)]);
    output.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A status with what was printed, in one line.
pub(super) fn failure(status: i32, output: &[u8]) -> String {
    match in_one_line(output).as_str() {
        "" => format!("command exited with {status}"),
        output => format!("command exited with {status}: {output}"),
    }
}

fn timed_out(error: &Error) -> bool {
    let code = error.status().map(tonic::Status::code);
    code == Some(tonic::Code::DeadlineExceeded)
}
