//! Tests of the API over a real socket, spoken to with plain HTTP; here what they share.

mod exec;
mod objects;
mod streams;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Api, LogLine, LogLines, LogRequest, LogSource, bind, serve};
use crate::model::{EventLog, NodeView, Reason, Verdict};
use crate::status::tests::fixture::{at, container, exited, held, pod, report, running, set, view};

/// An API served for a test.
pub(crate) struct Served {
    pub socket: PathBuf,
    pub view: watch::Sender<Arc<NodeView>>,
    pub events: watch::Sender<Arc<EventLog>>,
    pub cancel: CancellationToken,
    tasks: JoinSet<()>,
    _directory: tempfile::TempDir,
}

/// Two lines, then what is asked for, and with `follow` a last line when that ends.
struct Logs;

impl LogSource for Logs {
    fn read(&self, request: &LogRequest, follow: Option<CancellationToken>) -> LogLines {
        if request.container.as_str() == "broken" {
            return stream::iter([Err(std::io::Error::other("no such file"))]).boxed();
        }
        let line = |text: String| {
            Ok(LogLine {
                time: at(1),
                text: text.into(),
            })
        };
        let asked = format!(
            "{} {} {:?}\n",
            request.container, request.attempt, request.tail
        );
        let lines = stream::iter([line("one\n".to_owned()), line(asked)]);
        match follow {
            None => lines.boxed(),
            Some(follow) => lines
                .chain(stream::once(async move {
                    follow.cancelled().await;
                    line("last\n".to_owned())
                }))
                .boxed(),
        }
    }
}

/// Serves a view, at the moment 60.
pub(crate) async fn serve_view(view: NodeView) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("run/setlet.sock");
    let listener = bind(&socket, None).await.expect("a socket");
    let (sender, receiver) = watch::channel(Arc::new(view));
    let (told, events) = watch::channel(Arc::default());
    let cancel = CancellationToken::new();
    let api = Api {
        view: receiver,
        events,
        logs: Arc::new(Logs),
        exec: Arc::new(exec::Execs::default()),
        metrics: Arc::new(|| "setlet_up 1\n".to_owned()),
        requests: tokio::sync::mpsc::channel(1).0,
        clock: || at(60),
        ahead: || jiff::SignedDuration::ZERO,
        shown: crate::server::Shown::default(),
        cancel: cancel.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, api));
    Served {
        socket,
        view: sender,
        events: told,
        cancel,
        tasks,
        _directory: directory,
    }
}

/// Sets `web` (running), `slow` (cannot be pulled), and `gpu` (not for this node).
pub(crate) fn some_view() -> NodeView {
    let (web, slow, gpu) = (
        set("default", "web", ""),
        set("kube-system", "slow", ""),
        set("default", "gpu", "      nodeSelector: {gpu: \"true\"}\n"),
    );
    let web_pod = pod(
        &web,
        "web-a",
        vec![
            container("main", 1, running(30)),
            container("main", 0, exited(1, 20, 25)),
        ],
    );
    let reason = Reason::new("ImagePullBackOff", "Back-off pulling image \"busybox\"");
    let reason = reason.of_container("main").retried_at(at(80));
    let slow_pod = held(pod(&slow, "slow-b", Vec::new()), vec![reason]);
    let rule = crate::model::Rule {
        subject: "spec.template.spec.nodeSelector[gpu]".to_owned(),
        holds: false,
        if_violated: crate::model::IfViolated::Stop,
        because: "wants \"true\", the node has no label gpu".to_owned(),
    };
    let mut gpu_report = report(Verdict::Stop(vec![rule.clone()]), &[]);
    gpu_report.rules = vec![rule];
    let sets = vec![
        (web, report(Verdict::Run, &[&web_pod])),
        (slow, report(Verdict::Run, &[&slow_pod])),
        (gpu, gpu_report),
    ];
    view(sets, vec![web_pod, slow_pod])
}

/// Sends a request; the status code and the body.
async fn request(served: &Served, head: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(&served.socket)
        .await
        .expect("a connection");
    let text = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        unchunk(body)
    } else {
        body.to_owned()
    };
    (head[9..12].parse().expect("a code"), body)
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}

async fn get(served: &Served, path: &str) -> (u16, Value) {
    let (code, body) = request(served, &format!("GET {path} HTTP/1.1")).await;
    (
        code,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

async fn table(served: &Served, path: &str) -> Value {
    let accept = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (code, body) = request(served, &format!("GET {path} HTTP/1.1\r\n{accept}")).await;
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect()
}
