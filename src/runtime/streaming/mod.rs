//! A command in a container with its streams, as the runtime's streaming server has them.
//!
//! A small client of SPDY/3.1, which all versions of containerd speak and in which alone standard
//! input can be closed while output goes on. Both directions push back: nothing is read from the
//! runtime before what was read is taken, and at most a frame waits to be written. Starts no task,
//! decides nothing, and goes nowhere but to the loopback address. Follows kubelet's side of remote
//! command execution, `v4.channel.k8s.io` (k8s.io/apimachinery/pkg/util/remotecommand).

mod address;
mod error;
mod frame;
mod input;
mod output;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

pub use error::StreamError;
pub use input::{Input, Size};
pub use output::{Output, Piece};

use super::Runtime;
use crate::model::ContainerId;
use address::Address;

/// How long the streaming server may take to be ready for the streams.
const DEADLINE: Duration = Duration::from_secs(10);

/// A command and the streams it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether it gets standard input.
    pub stdin: bool,
    /// Whether its standard output is wanted.
    pub stdout: bool,
    /// Whether its standard error is wanted; with a terminal there is none.
    pub stderr: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
}

/// The numbers of a command's streams. Those of a client are odd.
#[derive(Debug, Clone, Copy, Default)]
struct Streams {
    error: u32,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    resize: Option<u32>,
}

impl Runtime {
    /// Starts a command in a container. Dropping both ends breaks the streams off: a command that
    /// reads sees the end of its input, one that does not goes on, as with kubelet.
    ///
    /// # Errors
    /// When the runtime refuses (no such container, or it does not run), or its streaming server
    /// cannot be spoken to. A command that cannot be started is told by its status.
    pub async fn exec(
        &self,
        container: &ContainerId,
        exec: &Exec,
    ) -> Result<(Input, Output), StreamError> {
        let url = self.inner.client.exec(container, exec).await?;
        open(&url, exec).await
    }
}

/// Opens a command's streams at the address the runtime gave for it.
pub(crate) async fn open(url: &str, exec: &Exec) -> Result<(Input, Output), StreamError> {
    let address = Address::parse(url)?;
    let opened = tokio::time::timeout(DEADLINE, async {
        let connection = upgrade::upgrade(&address).await?;
        let (reader, mut writer) = tokio::io::split(connection);
        let (streams, frames) = plan_streams(exec);
        writer
            .write_all(&frames)
            .await
            .map_err(StreamError::BrokenOff)?;
        let (ping, pings) = mpsc::channel(1);
        let input = Input::new(writer, streams, pings);
        Ok((input, Output::new(reader, streams, ping)))
    });
    opened.await.unwrap_or(Err(StreamError::Slow))
}

/// Numbers a command's streams and makes the frames that open them. The server starts the command
/// once all it expects are there.
fn plan_streams(exec: &Exec) -> (Streams, Vec<u8>) {
    let mut frames = Vec::new();
    let mut last = None;
    let mut open = |name| {
        let number = last.map_or(1, |last: u32| last + 2);
        frames.extend(frame::open(number, ("streamtype", name), last.is_none()));
        last = Some(number);
        number
    };
    let streams = Streams {
        error: open("error"),
        stdin: exec.stdin.then(|| open("stdin")),
        stdout: exec.stdout.then(|| open("stdout")),
        stderr: (exec.stderr && !exec.tty).then(|| open("stderr")),
        resize: exec.tty.then(|| open("resize")),
    };
    (streams, frames)
}
