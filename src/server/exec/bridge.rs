//! Between a client's WebSocket and a command's streams, in both directions at once.
//!
//! Each direction has one piece in hand and takes the next when that is passed on, so that a command
//! that writes without end, or a client that sends without end, waits instead of growing the agent.
//! The session ends with the command's status, with the client, or with the agent.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_util::sync::CancellationToken;

use super::super::failure::Failure;
use super::websocket::{Protocol, Socket};
use crate::runtime::{Input, Output, Piece, Size, StreamError};

/// Channels of both protocols; the last one of v5 only.
mod channel {
    pub const STDIN: u8 = 0;
    pub const STDOUT: u8 = 1;
    pub const STDERR: u8 = 2;
    pub const ERROR: u8 = 3;
    pub const RESIZE: u8 = 4;
    pub const CLOSE: u8 = 255;
}

/// How long a command may be silent before the client is asked whether it is there: one that waits
/// for its input to be taken is not heard otherwise.
const PING: Duration = Duration::from_secs(15);
/// How long the client has to take leave.
const FAREWELL: Duration = Duration::from_millis(400);

/// What ended a session.
enum End {
    /// The command, with its status.
    Status(Bytes),
    /// The client went away.
    Gone,
}

type Sink = SplitSink<Socket, Message>;

/// Runs a session to its end.
pub(super) async fn bridge(
    socket: Socket,
    protocol: Protocol,
    (mut input, mut output): (Input, Output),
    cancel: CancellationToken,
) {
    let (mut sink, mut stream) = socket.split();
    let end = tokio::select! {
        end = pass_output(&mut output, &mut sink) => end,
        () = pass_input(&mut stream, &mut input, protocol) => End::Gone,
        () = cancel.cancelled() => End::Status(status(&Failure::unavailable(
            "the agent stops; the command may go on without its streams",
        ))),
    };
    drop((input, output));
    if let End::Status(status) = end {
        let leave = take_leave(&mut sink, &mut stream, status);
        // A client that does not take it in time has the connection closed on it.
        drop(tokio::time::timeout(FAREWELL, leave).await);
    }
}

/// Sends the status, closes, and waits until the client has closed, too.
async fn take_leave(
    sink: &mut Sink,
    stream: &mut SplitStream<Socket>,
    status: Bytes,
) -> Result<(), tungstenite::Error> {
    sink.send(message(channel::ERROR, &status)).await?;
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    sink.send(Message::Close(Some(close))).await?;
    while stream.next().await.transpose()?.is_some() {}
    Ok(())
}

/// Output to the client, until the command has ended or the client is gone.
async fn pass_output(output: &mut Output, sink: &mut Sink) -> End {
    loop {
        let piece = match next(output, sink).await {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return End::Status(status(&Failure::unavailable(error.to_string()))),
            Err(_) => return End::Gone,
        };
        let message = match piece {
            Piece::Stdout(bytes) => message(channel::STDOUT, &bytes),
            Piece::Stderr(bytes) => message(channel::STDERR, &bytes),
            Piece::Status(status) => return End::Status(status),
        };
        if sink.send(message).await.is_err() {
            return End::Gone;
        }
    }
}

/// The next piece; while there is none, the client is pinged now and then.
async fn next(
    output: &mut Output,
    sink: &mut Sink,
) -> Result<Result<Piece, StreamError>, tungstenite::Error> {
    let mut piece = pin!(output.next());
    loop {
        tokio::select! {
            piece = &mut piece => return Ok(piece),
            () = tokio::time::sleep(PING) => sink.send(Message::Ping(Bytes::new())).await?,
        }
    }
}

/// Messages to the command, until the client is gone.
async fn pass_input(stream: &mut SplitStream<Socket>, input: &mut Input, protocol: Protocol) {
    let mut broken = false;
    loop {
        let message = if broken {
            stream.next().await
        } else {
            tokio::select! {
                message = stream.next() => message,
                // The command has ended or is about to; its status is still to come.
                Err::<Infallible, _>(_) = input.answer_pings() => {
                    broken = true;
                    continue;
                }
            }
        };
        match message {
            Some(Ok(Message::Binary(message))) if !broken => {
                broken = pass_message(&message, input, protocol).await.is_err();
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => {}
        }
    }
}

async fn pass_message(
    message: &[u8],
    input: &mut Input,
    protocol: Protocol,
) -> Result<(), StreamError> {
    match message {
        [channel::STDIN, bytes @ ..] => input.write_stdin(bytes).await,
        [channel::RESIZE, bytes @ ..] => match serde_json::from_slice::<Size>(bytes) {
            Ok(size) => input.resize(size).await,
            // A size that is none changes none.
            Err(_) => Ok(()),
        },
        [channel::CLOSE, channel::STDIN] if protocol == Protocol::V5 => input.close_stdin().await,
        _ => Ok(()),
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

fn status(failure: &Failure) -> Bytes {
    failure.status().to_string().into()
}
