//! A command's streams between this process and the agent, until the command ends.
//!
//! Sending and receiving do not wait for each other: a command that does not read its input can still
//! write, and the other way round.

use std::convert::Infallible;
use std::io::{self, Read, Write};

use anyhow::Context;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::super::client::WebSocket;
use super::terminal::{Heard, Terminal};
use crate::runtime::Size;

/// Bytes of standard input in a message.
const PIECE: usize = 32 << 10;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Why the streams ended.
pub(super) enum End {
    /// The command ended; its status.
    Status(Bytes),
    /// A signal ends setlet; the exit status for it.
    Signal(u8),
}

/// Passes everything on until the command ends. The terminal is restored when this comes back.
pub(super) async fn pass(
    socket: WebSocket,
    stdin: bool,
    mut terminal: Option<Terminal>,
    out: &mut dyn Write,
) -> anyhow::Result<End> {
    let (sink, stream) = socket.split();
    let first = terminal.as_ref().and_then(|_| Terminal::size());
    let (resized, size) = watch::channel(first);
    let stdin = stdin.then(read_stdin);
    // The agent's last word is received, whatever cannot be sent any more.
    let sending = async {
        send(sink, stdin, size).await.ok();
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        status = receive(stream, out) => status.map(End::Status),
        ending = follow_terminal(terminal.as_mut(), resized) => Ok(End::Signal(ending)),
        never = sending => match never {},
    }
}

/// Reads standard input on a thread of its own, which may wait for ever; a piece is read when the
/// one before it is under way.
#[expect(
    clippy::disallowed_methods,
    reason = "standard input may be waited for for ever, and the program ends without it"
)]
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (pieces, read) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut piece = vec![STDIN; 1 + PIECE];
            match stdin.read(&mut piece[1..]) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(1 + length);
                    if pieces.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    crate::cli::complain(&format!("setlet: cannot read standard input: {error}"));
                    return;
                }
            }
        }
    });
    read
}

/// Tells sizes, until a signal ends setlet.
async fn follow_terminal(
    terminal: Option<&mut Terminal>,
    resized: watch::Sender<Option<Size>>,
) -> u8 {
    let Some(terminal) = terminal else {
        return std::future::pending().await;
    };
    loop {
        match terminal.heard().await {
            Heard::Resized => {
                resized.send_replace(Terminal::size());
            }
            Heard::Ending(status) => return status,
        }
    }
}

async fn send(
    mut sink: SplitSink<WebSocket, Message>,
    mut stdin: Option<mpsc::Receiver<Vec<u8>>>,
    mut size: watch::Receiver<Option<Size>>,
) -> Result<(), Error> {
    size.mark_changed();
    loop {
        let message = tokio::select! {
            Ok(()) = size.changed() => {
                let Some(size) = *size.borrow_and_update() else {
                    continue;
                };
                let Size { width, height } = size;
                let mut message = vec![RESIZE];
                writeln!(message, "{{\"Width\":{width},\"Height\":{height}}}").ok();
                message
            }
            piece = next(&mut stdin) => piece.unwrap_or_else(|| {
                stdin = None;
                vec![CLOSE, STDIN]
            }),
            else => return Ok(()),
        };
        sink.send(Message::Binary(message.into())).await?;
    }
}

/// The next piece of standard input; waits for ever where there is none.
async fn next(stdin: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match stdin {
        Some(stdin) => stdin.recv().await,
        None => std::future::pending().await,
    }
}

/// Writes what comes, until the command's status has come and the agent closes.
async fn receive(mut stream: SplitStream<WebSocket>, out: &mut dyn Write) -> anyhow::Result<Bytes> {
    let mut status = None;
    while let Some(message) = stream.next().await {
        let message = match message {
            Ok(Message::Binary(message)) => message,
            Ok(_) => continue,
            Err(error) if status.is_none() => {
                return Err(error).context("the agent broke off the command's streams");
            }
            Err(_) => break,
        };
        match message.first() {
            Some(&STDOUT) => {
                out.write_all(&message[1..])?;
                out.flush()?;
            }
            Some(&STDERR) => io::stderr().write_all(&message[1..])?,
            Some(&ERROR) if message.len() > 1 => status = Some(message.slice(1..)),
            _ => {}
        }
    }
    status.context("the agent broke off the command's streams")
}
