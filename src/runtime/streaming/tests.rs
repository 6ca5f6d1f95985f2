//! The client against a streaming server of the tests' own, over loopback.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::frame::{self, HEAD, Head};
use super::{Exec, Piece, Size, StreamError, open};

/// A streaming server for one command.
pub(crate) struct Fake(TcpListener);

/// Its end of a command's streams.
pub(crate) struct Streams {
    stream: TcpStream,
    numbers: BTreeMap<String, u32>,
    zlib: Vec<u8>,
}

/// What comes from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Bytes(String, Vec<u8>),
    End(String),
    Pong(Vec<u8>),
    Gone,
}

impl Fake {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a listener"))
    }

    pub(crate) fn url(&self) -> String {
        let address = self.0.local_addr().expect("an address");
        format!("http://{address}/exec/token")
    }

    /// Answers one request in the given words, and returns what it said.
    async fn answer(&self, words: &str) -> (TcpStream, String) {
        let (mut stream, _) = self.0.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        let answer = format!("HTTP/1.1 {words}\r\n\r\n");
        stream
            .write_all(answer.as_bytes())
            .await
            .expect("an answer");
        (stream, String::from_utf8(head).expect("text"))
    }

    /// Upgrades one connection and hears that many streams being opened.
    pub(crate) async fn accept(&self, count: usize) -> Streams {
        let upgraded = "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                        X-Stream-Protocol-Version: v4.channel.k8s.io";
        let (stream, request) = self.answer(upgraded).await;
        assert!(
            request.starts_with("POST /exec/token HTTP/1.1\r\n"),
            "{request}"
        );
        let mut streams = Streams {
            stream,
            numbers: BTreeMap::new(),
            zlib: Vec::new(),
        };
        for _ in 0..count {
            streams.hear_open().await;
        }
        streams
    }
}

impl Streams {
    async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.expect("a frame");
        bytes
    }

    async fn hear_open(&mut self) {
        let head = self.read(HEAD).await;
        assert_eq!(head[..5], [0x80, 3, 0, 1, 0]);
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]);
        let payload = self.read(length as usize).await;
        let number = frame::number(&payload).expect("a number");
        self.zlib.extend(&payload[10..]);
        let mut plain = Vec::new();
        // It never ends: an error says that there is no more.
        drop(flate2::read::ZlibDecoder::new(&self.zlib[..]).read_to_end(&mut plain));
        let names = ["error", "stdin", "stdout", "stderr", "resize"];
        let name = names
            .into_iter()
            .find(|name| plain.ends_with(name.as_bytes()));
        self.numbers
            .insert(name.expect("a known stream").to_owned(), number);
    }

    /// The next thing that is said.
    pub(crate) async fn hear(&mut self) -> Heard {
        let mut head = [0; HEAD];
        if self.stream.read_exact(&mut head).await.is_err() {
            return Heard::Gone;
        }
        match Head::read(head).expect("a frame") {
            Head::Bytes {
                stream,
                fin,
                length,
            } => {
                let bytes = self.read(length).await;
                let mut names = self.numbers.iter();
                let (name, _) = names
                    .find(|(_, number)| **number == stream)
                    .expect("a stream");
                let name = name.clone();
                if fin {
                    assert!(bytes.is_empty(), "{bytes:?}");
                    Heard::End(name)
                } else {
                    Heard::Bytes(name, bytes)
                }
            }
            Head::Ping { length } => Heard::Pong(self.read(length).await),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, name: &str, bytes: &[u8], fin: bool) {
        let head = frame::bytes_head(self.numbers[name], bytes.len(), fin);
        let frame = [&head[..], bytes].concat();
        // The client may have gone.
        self.stream.write_all(&frame).await.ok();
    }

    async fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }
}

fn cat() -> Exec {
    Exec {
        command: vec!["cat".to_owned()],
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    }
}

fn stdout(text: &[u8]) -> Piece {
    Piece::Stdout(text.to_vec().into())
}

#[tokio::test]
async fn input_ends_while_output_goes_on() {
    let fake = Fake::new().await;
    let (url, exec) = (fake.url(), cat());
    let (opened, mut server) = tokio::join!(open(&url, &exec), fake.accept(4));
    let (mut input, mut output) = opened.expect("streams");
    input.write_stdin(b"hi").await.expect("written");
    input.close_stdin().await.expect("closed");
    input.write_stdin(b"too late").await.expect("dropped");
    input
        .resize(Size {
            width: 1,
            height: 1,
        })
        .await
        .expect("dropped");
    assert_eq!(
        server.hear().await,
        Heard::Bytes("stdin".into(), b"hi".to_vec())
    );
    assert_eq!(server.hear().await, Heard::End("stdin".into()));

    // An answer to a stream, a setting and a ping come between.
    server
        .say_raw(&[0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1, 9, 9])
        .await;
    server.say("stdout", b"hi", false).await;
    server
        .say_raw(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2])
        .await;
    server.say("stderr", b"oh", true).await;
    server.say("error", b"{\"status\":", false).await;
    server.say("error", b"\"Success\"}", true).await;
    server.say("stdout", b"late", true).await;
    assert_eq!(output.next().await.expect("output"), stdout(b"hi"));
    assert_eq!(
        output.next().await.expect("output"),
        Piece::Stderr("oh".into())
    );
    assert_eq!(output.next().await.expect("output"), stdout(b"late"));
    let ponged = async {
        tokio::select! {
            heard = server.hear() => heard,
            failed = input.answer_pings() => panic!("{failed:?}"),
        }
    };
    assert_eq!(ponged.await, Heard::Pong(vec![0, 0, 0, 2]));
    let status = output.next().await.expect("a status");
    assert_eq!(status, Piece::Status("{\"status\":\"Success\"}".into()));
    drop((input, output));
    assert_eq!(server.hear().await, Heard::Gone);
}

#[tokio::test]
async fn a_terminal_has_a_size_and_no_standard_error() {
    let fake = Fake::new().await;
    let exec = Exec { tty: true, ..cat() };
    let url = fake.url();
    let (opened, mut server) = tokio::join!(open(&url, &exec), fake.accept(4));
    let (mut input, mut output) = opened.expect("streams");
    let size = Size {
        width: 80,
        height: 24,
    };
    input.resize(size).await.expect("written");
    let told = b"{\"Width\":80,\"Height\":24}\n".to_vec();
    assert_eq!(server.hear().await, Heard::Bytes("resize".into(), told));

    // A frame larger than a piece comes in pieces; the server resets its streams at the end.
    let large = vec![7; 100_000];
    let telling = async {
        server.say("stdout", &large, false).await;
        server.say("error", b"{}", false).await;
        for stream in ["stdout", "error"] {
            let number = u8::try_from(server.numbers[stream]).expect("a small number");
            let reset = [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, number, 0, 0, 0, 5];
            server.say_raw(&reset).await;
        }
    };
    let hearing = async {
        let mut heard = Vec::new();
        loop {
            match output.next().await.expect("output") {
                Piece::Stdout(piece) => {
                    assert!(piece.len() <= frame::MAX_PAYLOAD);
                    heard.extend(piece);
                }
                other => break (heard, other),
            }
        }
    };
    let ((), (heard, last)) = tokio::join!(telling, hearing);
    assert_eq!(heard, large);
    assert_eq!(last, Piece::Status("{}".into()));
}

#[tokio::test]
async fn streams_that_break_off_are_an_error() {
    let fake = Fake::new().await;
    let (url, exec) = (fake.url(), cat());
    let (opened, server) = tokio::join!(open(&url, &exec), fake.accept(4));
    let (_input, mut output) = opened.expect("streams");
    drop(server);
    let ended = output.next().await;
    assert!(matches!(ended, Err(StreamError::BrokenOff(_))), "{ended:?}");
}

#[tokio::test]
async fn a_refused_token_is_said_without_it() {
    let fake = Fake::new().await;
    let (url, exec) = (fake.url(), cat());
    let refusal = fake.answer("404 Not Found\r\nContent-Length: 0");
    let (opened, _) = tokio::join!(open(&url, &exec), refusal);
    let error = opened.err().expect("an error").to_string();
    assert_eq!(
        error,
        "the runtime's streaming server refuses the command with HTTP status 404 Not Found"
    );
}
