//! A stream of HTTP answers whose heads are made as Go's client reads them.
//!
//! Go (`net/textproto`, `readMIMEHeader`) takes names of headers with spaces in them, and such a name is
//! none that means anything: `Bad Name: x` and `Content-Length : 2` are kept under just these names.
//! hyper refuses them. So spaces in names become `_` on the way, which leaves all lengths as they are
//! and gives names that mean nothing. What else Go refuses, hyper does too: an empty name, a tab or
//! another odd byte in it, a line without a colon.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where in an answer the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the status line, at this byte of it; and whether the status is 100 to 199.
    Status { byte: usize, goes_on: bool },
    /// At the beginning of a line of a head that another one follows, or not.
    Line { goes_on: bool },
    /// In a header's name.
    Name { goes_on: bool },
    /// Behind it.
    Value { goes_on: bool },
    /// Behind the last head.
    Body,
}

/// The status line before its first byte.
const STATUS: At = At::Status {
    byte: 0,
    goes_on: false,
};
/// Where the status stands in it: behind `HTTP/1.1 `.
const DIGITS: std::ops::Range<usize> = 9..12;

impl At {
    /// Goes one byte on, and changes the byte where it is a space in a name.
    fn take(&mut self, byte: &mut u8) {
        *self = match (*self, *byte) {
            (Self::Body, _) => Self::Body,
            // Empty lines before the status line are passed over.
            (Self::Status { byte: 0, .. }, b'\r' | b'\n') => STATUS,
            (Self::Status { goes_on, .. }, b'\n') => Self::Line { goes_on },
            (Self::Status { byte: at, goes_on }, digit) => Self::Status {
                byte: at.saturating_add(1),
                goes_on: match at.checked_sub(DIGITS.start) {
                    Some(0) => digit == b'1',
                    // 101 is an answer, and no head follows it.
                    Some(2) if digit == b'1' => false,
                    _ => goes_on,
                },
            },
            (Self::Line { goes_on }, b'\r') => Self::Line { goes_on },
            (Self::Line { goes_on: true }, b'\n') => STATUS,
            (Self::Line { goes_on: false }, b'\n') => Self::Body,
            // The line before goes on.
            (Self::Line { goes_on }, b' ' | b'\t') => Self::Value { goes_on },
            (Self::Line { goes_on } | Self::Name { goes_on }, b':') => Self::Value { goes_on },
            (Self::Name { goes_on } | Self::Value { goes_on }, b'\n') => Self::Line { goes_on },
            (Self::Value { goes_on }, _) => Self::Value { goes_on },
            (Self::Line { goes_on } | Self::Name { goes_on }, _) => {
                if *byte == b' ' {
                    *byte = b'_';
                }
                Self::Name { goes_on }
            }
        };
    }
}

/// Passes bytes on in both directions.
pub(super) struct Heads<S> {
    stream: S,
    at: At,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, at: STATUS }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.at != At::Body {
            for byte in buffer.filled_mut().iter_mut().skip(before) {
                self.at.take(byte);
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spaces_in_names_are_changed() {
        let read = |text: &str| {
            let (mut at, mut bytes) = (STATUS, text.as_bytes().to_vec());
            bytes.iter_mut().for_each(|byte| at.take(byte));
            String::from_utf8(bytes).expect("text")
        };
        for (text, want) in [
            (
                "HTTP/1.1 200 O K\r\nBad Name: a b\r\nServer : x y\r\n\r\na b: c",
                "HTTP/1.1 200 O K\r\nBad_Name: a b\r\nServer_: x y\r\n\r\na b: c",
            ),
            // Another head follows, unless the protocol changes.
            (
                "\r\nHTTP/1.1 100 Go on\nA b: c\n\nHTTP/1.1 200 OK\nA b: c\n d e: f\n\nA b:",
                "\r\nHTTP/1.1 100 Go on\nA_b: c\n\nHTTP/1.1 200 OK\nA_b: c\n d e: f\n\nA b:",
            ),
            (
                "HTTP/1.1 101 Switch\r\nA b: c\r\n\r\nA b: c",
                "HTTP/1.1 101 Switch\r\nA_b: c\r\n\r\nA b: c",
            ),
            (
                "HTTP/1.1 200\r\nno colon\r\n:x y\r\n",
                "HTTP/1.1 200\r\nno_colon\r\n:x y\r\n",
            ),
        ] {
            assert_eq!(read(text), want);
        }
    }
}
