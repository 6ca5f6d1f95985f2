//! Container logs for the server, read by the runtime room.

use std::path::PathBuf;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::blocking::Blocking;
use crate::runtime::{files, log};
use crate::server::{LogLine, LogLines, LogRequest, LogSource};

/// Reads logs below a directory laid out as kubelet's `/var/log/pods`.
pub struct Logs {
    /// The directory.
    pub pod_logs: PathBuf,
    /// Shared by all who follow.
    pub watches: log::Watches,
    /// The threads that read.
    pub blocking: Blocking,
}

impl LogSource for Logs {
    fn read(&self, request: &LogRequest, follow: Option<CancellationToken>) -> LogLines {
        let directory = files::log_directory(&request.key, &self.pod_logs);
        let path = directory.join(files::log_path(&request.container, request.attempt));
        let options = log::Options {
            tail: request.tail,
            since: request.since,
            follow,
            watches: self.watches.clone(),
            blocking: self.blocking.clone(),
        };
        let line = |line: log::Line| LogLine {
            time: line.time,
            text: line.text,
        };
        log::read(path, options)
            .map(move |read| read.map(line))
            .boxed()
    }
}
