//! What comes from a command: its output piece by piece, and at last its status.

use std::io;

use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::mpsc;

use super::Streams;
use super::error::StreamError;
use super::frame::{self, HEAD, Head, MAX_PAYLOAD};

/// The payload of a ping.
pub(super) type PingNumber = [u8; 4];

/// A status is far shorter; what is longer is cut.
const MAX_STATUS: usize = 64 << 10;

/// A piece of what a command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Standard output, or what the terminal shows.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// The command has ended; a `metav1.Status` in JSON says how. Nothing comes after it.
    Status(Bytes),
}

/// The reading end of a command's streams.
pub struct Output {
    reader: ReadHalf<TokioIo<Upgraded>>,
    streams: Streams,
    /// Those that are not at their end.
    open: Vec<u32>,
    /// The frame of bytes that is being read: its stream, what is left of it, and whether it is the last.
    within: Option<(u32, usize, bool)>,
    status: Vec<u8>,
    buffer: BytesMut,
    ping: mpsc::Sender<PingNumber>,
}

impl Output {
    pub(super) fn new(
        reader: ReadHalf<TokioIo<Upgraded>>,
        streams: Streams,
        ping: mpsc::Sender<PingNumber>,
    ) -> Self {
        let outputs = [Some(streams.error), streams.stdout, streams.stderr];
        Self {
            reader,
            streams,
            open: outputs.into_iter().flatten().collect(),
            within: None,
            status: Vec::new(),
            buffer: BytesMut::new(),
            ping,
        }
    }

    /// The next piece. Nothing is read ahead: whoever does not ask holds the command's output up.
    ///
    /// # Errors
    /// When the streams end without a status, or what comes is no SPDY.
    pub async fn next(&mut self) -> Result<Piece, StreamError> {
        loop {
            if let Some((stream, left, fin)) = self.within.take() {
                if left > 0 {
                    let bytes = self.read(left.min(MAX_PAYLOAD)).await?;
                    self.within = Some((stream, left - bytes.len(), fin));
                    if let Some(piece) = self.sort(stream, bytes) {
                        return Ok(piece);
                    }
                } else if fin {
                    self.close(stream);
                }
                continue;
            }
            if self.open.is_empty() {
                return self.end(io::ErrorKind::UnexpectedEof.into());
            }
            let mut head = [0; HEAD];
            if let Err(error) = self.reader.read_exact(&mut head).await {
                return self.end(error);
            }
            match Head::read(head).ok_or(StreamError::Frame)? {
                Head::Bytes {
                    stream,
                    fin,
                    length,
                } => self.within = Some((stream, length, fin)),
                Head::Reset { length } => {
                    let payload = self.payload(length).await?;
                    let stream = frame::number(&payload).ok_or(StreamError::Frame)?;
                    self.close(stream);
                }
                Head::Ping { length } => {
                    let payload = self.payload(length).await?;
                    let number = payload.first_chunk().ok_or(StreamError::Frame)?;
                    // With one ping unanswered another says nothing new.
                    self.ping.try_send(*number).ok();
                }
                Head::Other { length } => drop(self.payload(length).await?),
            }
        }
    }

    /// Gives bytes to who wants them: output is returned, the status is kept until it is whole.
    fn sort(&mut self, stream: u32, bytes: Bytes) -> Option<Piece> {
        if Some(stream) == self.streams.stdout {
            return Some(Piece::Stdout(bytes));
        }
        if Some(stream) == self.streams.stderr {
            return Some(Piece::Stderr(bytes));
        }
        if stream == self.streams.error {
            let room = MAX_STATUS.saturating_sub(self.status.len());
            self.status.extend(&bytes[..bytes.len().min(room)]);
        }
        None
    }

    fn close(&mut self, stream: u32) {
        self.open.retain(|open| *open != stream);
    }

    /// The status where there is one, however the streams ended.
    fn end(&mut self, how: io::Error) -> Result<Piece, StreamError> {
        if self.status.is_empty() {
            return Err(StreamError::BrokenOff(how));
        }
        Ok(Piece::Status(std::mem::take(&mut self.status).into()))
    }

    /// Some bytes, at most so many.
    async fn read(&mut self, most: usize) -> Result<Bytes, StreamError> {
        self.buffer.reserve(most);
        let read = (&mut self.reader)
            .take(most as u64)
            .read_buf(&mut self.buffer)
            .await
            .map_err(StreamError::BrokenOff)?;
        if read == 0 {
            let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(StreamError::BrokenOff(cut));
        }
        Ok(self.buffer.split().freeze())
    }

    /// A control frame's payload: its first bytes, the rest is read and dropped.
    async fn payload(&mut self, length: usize) -> Result<Bytes, StreamError> {
        let mut first = Bytes::new();
        let mut left = length;
        while left > 0 {
            let bytes = self.read(left.min(MAX_PAYLOAD)).await?;
            left -= bytes.len();
            if first.len() < HEAD {
                first = [first, bytes].concat().into();
            }
        }
        Ok(first)
    }
}
