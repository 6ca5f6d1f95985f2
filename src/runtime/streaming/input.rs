//! What goes to a command: standard input, its end, and the size of its terminal.

use std::convert::Infallible;

use bytes::{Buf, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;

use super::error::StreamError;
use super::frame::{self, MAX_PAYLOAD};
use super::{Streams, output::PingNumber};

/// The size of a terminal in characters, as remote command execution writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Lines.
    pub height: u16,
}

/// The writing end of a command's streams.
pub struct Input {
    writer: WriteHalf<TokioIo<Upgraded>>,
    streams: Streams,
    pings: mpsc::Receiver<PingNumber>,
    /// Frames, or the rest of one, that are not written yet.
    unsent: BytesMut,
}

impl Input {
    pub(super) fn new(
        writer: WriteHalf<TokioIo<Upgraded>>,
        streams: Streams,
        pings: mpsc::Receiver<PingNumber>,
    ) -> Self {
        Self {
            writer,
            streams,
            pings,
            unsent: BytesMut::new(),
        }
    }

    /// Gives bytes to standard input; comes back when the runtime has taken them over. Without
    /// standard input, or after its end, they are dropped.
    ///
    /// # Errors
    /// When the streams are broken off.
    pub async fn write_stdin(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let Some(stream) = self.streams.stdin else {
            return Ok(());
        };
        for piece in bytes.chunks(MAX_PAYLOAD) {
            self.write(stream, piece, false).await?;
        }
        Ok(())
    }

    /// Ends standard input; output goes on.
    ///
    /// # Errors
    /// When the streams are broken off.
    pub async fn close_stdin(&mut self) -> Result<(), StreamError> {
        match self.streams.stdin.take() {
            Some(stream) => self.write(stream, &[], true).await,
            None => Ok(()),
        }
    }

    /// Tells the terminal's size; without a terminal nothing happens.
    ///
    /// # Errors
    /// When the streams are broken off.
    pub async fn resize(&mut self, size: Size) -> Result<(), StreamError> {
        let Some(stream) = self.streams.resize else {
            return Ok(());
        };
        let Size { width, height } = size;
        let text = format!("{{\"Width\":{width},\"Height\":{height}}}\n");
        self.write(stream, text.as_bytes(), false).await
    }

    /// Answers the server's pings; to be awaited while nothing is written, and may be dropped at
    /// any moment.
    ///
    /// # Errors
    /// When the streams are broken off; it never ends otherwise.
    pub async fn answer_pings(&mut self) -> Result<Infallible, StreamError> {
        loop {
            self.flush().await?;
            match self.pings.recv().await {
                Some(number) => self.unsent.extend(frame::pong(&number)),
                // The other end is gone, and with it whoever pings.
                None => std::future::pending().await,
            }
        }
    }

    async fn write(&mut self, stream: u32, bytes: &[u8], fin: bool) -> Result<(), StreamError> {
        self.unsent
            .extend(frame::bytes_head(stream, bytes.len(), fin));
        self.unsent.extend(bytes);
        self.flush().await
    }

    /// Writes what is unsent. Dropped half-way, the next call goes on where this one was.
    async fn flush(&mut self) -> Result<(), StreamError> {
        while self.unsent.has_remaining() {
            let written = self.writer.write_buf(&mut self.unsent).await;
            written.map_err(StreamError::BrokenOff)?;
        }
        self.writer.flush().await.map_err(StreamError::BrokenOff)
    }
}
