//! Commands in containers over WebSocket, with the runtime's streaming server played by the test.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Served, get, request, serve_view, some_view};
use crate::model::ContainerId;
use crate::runtime::streaming::open;
use crate::runtime::streaming::tests::{Fake, Heard, Streams};
use crate::runtime::{Exec, Input, Output, StreamError};
use crate::server::ExecSource;

/// Plays commands, see [`play`].
#[derive(Default)]
pub(super) struct Execs(Mutex<JoinSet<()>>);

impl ExecSource for Execs {
    fn exec(
        &self,
        _: &ContainerId,
        exec: &Exec,
    ) -> BoxFuture<'static, Result<(Input, Output), StreamError>> {
        let exec = exec.clone();
        let (address, known) = tokio::sync::oneshot::channel();
        let played = exec.clone();
        self.0.lock().expect("a lock").spawn(async move {
            let fake = Fake::new().await;
            address.send(fake.url()).expect("somebody asks");
            let flags = [played.stdin, played.stdout, played.stderr, played.tty];
            let count = flags.iter().filter(|on| **on).count();
            play(fake.accept(1 + count).await, &played.command).await;
        });
        async move { open(&known.await.expect("an address"), &exec).await }.boxed()
    }
}

/// `cat` copies its input and says goodbye; `size` shows a size; `fail` has status 3; `die` breaks
/// off; anything else does nothing.
async fn play(mut streams: Streams, command: &[String]) {
    let success = json!({"status": "Success"}).to_string();
    match command[0].as_str() {
        "cat" => {
            while let Heard::Bytes(_, bytes) = streams.hear().await {
                streams.say("stdout", &bytes, false).await;
            }
            streams.say("stderr", b"bye", true).await;
            streams.say("stdout", b"", true).await;
            streams.say("error", success.as_bytes(), true).await;
        }
        "size" => {
            if let Heard::Bytes(name, bytes) = streams.hear().await {
                streams.say("stdout", name.as_bytes(), false).await;
                streams.say("stdout", &bytes, true).await;
            }
            streams.say("error", success.as_bytes(), true).await;
        }
        "fail" => {
            let failure = json!({
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
            });
            let status = failure.to_string();
            streams.say("error", status.as_bytes(), true).await;
            streams.say("stdout", b"", true).await;
            streams.say("stderr", b"", true).await;
        }
        "die" => return,
        _ => {}
    }
    while streams.hear().await != Heard::Gone {}
}

const EXEC: &str = "/api/v1/namespaces/default/pods/web-a/exec";

async fn connect(
    served: &Served,
    query: &str,
    protocol: &str,
) -> Result<WebSocketStream<UnixStream>, Error> {
    let stream = UnixStream::connect(&served.socket)
        .await
        .expect("a connection");
    let url = format!("ws://setlet{EXEC}?{query}");
    let mut request = url.into_client_request().expect("a request");
    let protocol = protocol.parse().expect("a header");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    client_async(request, stream)
        .await
        .map(|(socket, _)| socket)
}

/// All that comes, and how it ends; joined where pieces have the same channel.
async fn hear(socket: &mut WebSocketStream<UnixStream>) -> Vec<(u8, String)> {
    let mut heard: Vec<(u8, String)> = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(bytes) = message {
            let text = String::from_utf8(bytes[1..].to_vec()).expect("text");
            match heard.last_mut() {
                Some((channel, before)) if *channel == bytes[0] => before.push_str(&text),
                _ => heard.push((bytes[0], text)),
            }
        }
    }
    heard
}

fn binary(bytes: &[u8]) -> Message {
    Message::Binary(bytes.to_vec().into())
}

#[tokio::test]
async fn a_command_has_its_streams() {
    let served = serve_view(some_view()).await;
    let query = "command=cat&stdin=true&stdout=true&stderr=true";
    let opened = connect(&served, query, "v5.channel.k8s.io").await;
    let mut socket = opened.expect("a socket");
    for message in [
        &b"\0hello "[..],
        b"\0world",
        b"\x04{\"Width\":1}",
        b"\x09x",
        b"",
        b"\xff\0",
    ] {
        socket.send(binary(message)).await.expect("sent");
    }
    let heard = hear(&mut socket).await;
    let expected = [
        (1, "hello world"),
        (2, "bye"),
        (3, "{\"status\":\"Success\"}"),
    ];
    assert_eq!(
        heard,
        expected.map(|(channel, text)| (channel, text.to_owned()))
    );
}

#[tokio::test]
async fn a_terminal_is_told_its_size() {
    let served = serve_view(some_view()).await;
    let query = "command=size&stdin=true&stdout=true&stderr=true&tty=true";
    let opened = connect(&served, query, "v4.channel.k8s.io").await;
    let mut socket = opened.expect("a socket");
    // In v4 there is no closing of streams.
    for message in [&b"\xff\0"[..], b"\x04{\"Width\":132,\"Height\":43}\n"] {
        socket.send(binary(message)).await.expect("sent");
    }
    let heard = hear(&mut socket).await;
    let told = "resize{\"Width\":132,\"Height\":43}\n".to_owned();
    assert_eq!(heard[0], (1, told));
}

#[tokio::test]
async fn streams_that_end_otherwise_have_a_status_too() {
    let served = serve_view(some_view()).await;
    let (v5, out) = ("v5.channel.k8s.io", "stdout=true");
    let opened = connect(&served, &format!("command=die&{out}"), v5).await;
    let heard = hear(&mut opened.expect("a socket")).await;
    let status: Value = serde_json::from_str(&heard[0].1).expect("JSON");
    assert_eq!((heard[0].0, &status["code"]), (3, &json!(503)));

    let opened = connect(&served, &format!("command=hang&{out}"), v5).await;
    let mut socket = opened.expect("a socket");
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        served.cancel.cancel();
    };
    let (heard, ()) = tokio::join!(hear(&mut socket), stopping);
    let status: Value = serde_json::from_str(&heard[0].1).expect("JSON");
    assert_eq!(
        status["message"],
        "the agent stops; the command may go on without its streams"
    );
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_the_upgrade() {
    let served = serve_view(some_view()).await;
    let refused = |path: String| {
        let served = &served;
        async move {
            let (code, status) = get(served, &path).await;
            (
                code,
                status["message"].as_str().unwrap_or_default().to_owned(),
            )
        }
    };
    let cases = [
        (
            format!("{EXEC}?command=a&stdout=true&container=x"),
            (400, "container x is not valid for pod web-a"),
        ),
        (
            "/api/v1/namespaces/default/pods/no/exec?command=a&stdout=true".to_owned(),
            (404, "pods \"no\" not found"),
        ),
        (
            "/api/v1/namespaces/kube-system/pods/slow-b/exec?command=a&stdout=true".to_owned(),
            (
                400,
                "container \"main\" in pod \"slow-b\" is not running: ImagePullBackOff",
            ),
        ),
        (
            format!("{EXEC}?stdout=true"),
            (400, "command: Required value"),
        ),
    ];
    for (path, (code, message)) in cases {
        assert_eq!(refused(path).await, (code, message.to_owned()));
    }
    let spdy = format!("POST {EXEC}?command=a&stdout=true HTTP/1.1\r\nUpgrade: SPDY/3.1");
    let (code, body) = request(&served, &spdy).await;
    assert!(
        code == 400 && body.contains("Upgrade request required"),
        "{body}"
    );
    let (_, core) = get(&served, "/api/v1").await;
    let mut names = core["resources"].as_array().into_iter().flatten();
    assert!(names.any(|resource| resource["name"] == "pods/exec"));
}
