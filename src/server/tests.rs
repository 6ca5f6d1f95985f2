//! Tests of the API over a real socket, spoken to with plain HTTP.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Api, BindError, LogLine, LogLines, LogRequest, LogSource, bind, serve};
use crate::model::{NodeView, Reason, Verdict};
use crate::status::tests::fixture::{at, container, exited, held, pod, report, running, set, view};

/// An API served for a test.
pub(crate) struct Served {
    pub socket: PathBuf,
    pub view: watch::Sender<Arc<NodeView>>,
    pub cancel: CancellationToken,
    tasks: JoinSet<std::io::Result<()>>,
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
    let cancel = CancellationToken::new();
    let api = Api {
        view: receiver,
        logs: Arc::new(Logs),
        metrics: Arc::new(|| "setlet_up 1\n".to_owned()),
        clock: || at(60),
        cancel: cancel.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, api));
    Served {
        socket,
        view: sender,
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

#[tokio::test]
async fn health_metrics_and_versions() {
    let served = serve_view(some_view()).await;
    assert_eq!(get(&served, "/healthz").await, (200, json!("ok")));
    assert_eq!(get(&served, "/readyz").await, (200, json!("ok")));
    assert_eq!(
        get(&served, "/metrics").await,
        (200, json!("setlet_up 1\n"))
    );
    let version = get(&served, "/version?timeout=32s").await.1;
    assert_eq!(
        (&version["major"], &version["minor"]),
        (&json!("1"), &json!("36"))
    );
    served
        .view
        .send_modify(|view| Arc::make_mut(view).ready = false);
    let unready = "not ready: the manifests are not read yet\n";
    assert_eq!(get(&served, "/readyz").await, (503, json!(unready)));
    assert_eq!(get(&served, "/livez").await, (200, json!("ok")));
}

#[tokio::test]
async fn discovery_names_what_is_served() {
    let served = serve_view(some_view()).await;
    for (path, listed) in [
        (
            "/api/v1",
            vec!["configmaps", "namespaces", "nodes", "pods", "pods/log"],
        ),
        ("/apis/apps/v1", vec!["daemonsets"]),
    ] {
        let document = get(&served, path).await.1;
        let resources = document["resources"].as_array().expect("resources");
        let found: Vec<_> = resources
            .iter()
            .filter_map(|r| r["name"].as_str())
            .collect();
        assert_eq!(found, listed);
        for name in found.iter().filter(|name| !name.contains('/')) {
            assert_eq!(
                get(&served, &format!("{path}/{name}")).await.0,
                200,
                "{path}/{name}"
            );
        }
    }
    assert_eq!(get(&served, "/api").await.1["versions"], json!(["v1"]));
    assert_eq!(get(&served, "/apis").await.1["groups"][0]["name"], "apps");
}

#[tokio::test]
async fn lists_objects_and_selectors() {
    let served = serve_view(some_view()).await;
    let (_, all) = get(&served, "/apis/apps/v1/daemonsets?limit=500").await;
    assert_eq!(
        (names(&all), &all["kind"]),
        (vec!["gpu", "web", "slow"], &json!("DaemonSetList"))
    );
    assert_eq!(all["metadata"]["resourceVersion"], "7");
    let (_, inside) = get(&served, "/api/v1/namespaces/default/pods").await;
    assert_eq!(names(&inside), ["web-a"]);
    for (query, expected) in [
        ("labelSelector=app%3Dslow", vec!["slow-b"]),
        ("fieldSelector=status.phase%3DRunning", vec!["web-a"]),
        (
            "fieldSelector=spec.nodeName%3Dedge-17,status.phase!%3DRunning",
            vec!["slow-b"],
        ),
        ("fieldSelector=metadata.namespace%3Dnone", vec![]),
    ] {
        let (_, found) = get(&served, &format!("/api/v1/pods?{query}")).await;
        assert_eq!(names(&found), expected, "{query}");
    }
    let (_, one) = get(&served, "/api/v1/namespaces/default/pods/web-a").await;
    assert_eq!(
        (&one["kind"], &one["status"]["phase"]),
        (&json!("Pod"), &json!("Running"))
    );
    let (_, namespaces) = get(&served, "/api/v1/namespaces").await;
    assert_eq!(names(&namespaces), ["default", "kube-system"]);
}

#[tokio::test]
async fn errors_are_statuses() {
    let served = serve_view(some_view()).await;
    let (code, status) = get(&served, "/apis/apps/v1/namespaces/default/daemonsets/nope").await;
    let expected = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "daemonsets.apps \"nope\" not found",
        "reason": "NotFound",
        "details": {"name": "nope", "group": "apps", "kind": "daemonsets"},
        "code": 404,
    });
    assert_eq!((code, status), (404, expected));
    for (path, code) in [
        ("/api/v1/secrets", 404),
        ("/api/v1/pods?fieldSelector=spec.color%3Dred", 400),
        ("/api/v1/pods?labelSelector=a%20b", 400),
        ("/api/v1/pods?watch=perhaps", 400),
        ("/api/v1/pods?watch=true&sendInitialEvents=true", 422),
    ] {
        let (found, status) = get(&served, path).await;
        assert_eq!((found, &status["code"]), (code, &json!(code)), "{path}");
    }
    let (code, _) = request(
        &served,
        "DELETE /api/v1/namespaces/default/pods/web-a HTTP/1.1",
    )
    .await;
    assert_eq!(code, 405);
}

#[tokio::test]
async fn tables_have_kubectls_cells() {
    let served = serve_view(some_view()).await;
    let pods = table(&served, "/api/v1/pods").await;
    assert_eq!(pods["kind"], "Table");
    let none = "<none>";
    assert_eq!(
        pods["rows"][0]["cells"],
        json!([
            "web-a",
            "1/1",
            "Running",
            "1 (35s ago)",
            "60s",
            "10.0.0.5",
            "edge-17",
            none,
            none
        ])
    );
    assert_eq!(pods["rows"][1]["cells"][2], "ImagePullBackOff");
    assert_eq!(pods["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(pods["columnDefinitions"][5]["priority"], 1);
    let sets = table(
        &served,
        "/apis/apps/v1/namespaces/default/daemonsets?includeObject=Object",
    )
    .await;
    let age = "<unknown>";
    assert_eq!(
        sets["rows"][0]["cells"],
        json!([
            "gpu", 0, 0, 0, 0, 0, "gpu=true", age, "main", "busybox", "app=gpu"
        ])
    );
    assert_eq!(
        sets["rows"][1]["cells"],
        json!([
            "web", 1, 1, 1, 1, 1, none, age, "main", "busybox", "app=web"
        ])
    );
    assert_eq!(sets["rows"][0]["object"]["kind"], "DaemonSet");
    let node = table(&served, "/api/v1/nodes/edge-17").await;
    assert_eq!(node["rows"][0]["cells"][1], "Ready");
}

#[tokio::test]
async fn a_watch_tells_what_changes() {
    let served = serve_view(some_view()).await;
    let watching = get_lines(&served, "/api/v1/namespaces/default/pods?watch=true");
    let changing = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        served.view.send_modify(|view| {
            let view = Arc::make_mut(view);
            view.version = 8;
            view.pods.retain(|_, pod| pod.want.key().name != "web-a");
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        served.cancel.cancel();
    };
    let (events, ()) = tokio::join!(watching, changing);
    let told: Vec<_> = events
        .iter()
        .map(|e| {
            (
                &e["type"],
                &e["object"]["metadata"]["name"],
                &e["object"]["metadata"]["resourceVersion"],
            )
        })
        .collect();
    let name = json!("web-a");
    assert_eq!(
        told,
        [
            (&json!("ADDED"), &name, &json!("7")),
            (&json!("DELETED"), &name, &json!("8"))
        ]
    );
}

async fn get_lines(served: &Served, path: &str) -> Vec<Value> {
    let (code, body) = request(served, &format!("GET {path} HTTP/1.1")).await;
    assert_eq!(code, 200, "{body}");
    body.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn logs_of_this_container_and_the_one_before() {
    let served = serve_view(some_view()).await;
    let log = "/api/v1/namespaces/default/pods/web-a/log";
    assert_eq!(get(&served, log).await, (200, json!("one\nmain 1 None\n")));
    let previous = get(&served, &format!("{log}?previous=true&tailLines=2")).await;
    assert_eq!(previous, (200, json!("one\nmain 0 Some(2)\n")));
    let stamped = get(&served, &format!("{log}?timestamps=true&limitBytes=35"))
        .await
        .1;
    assert_eq!(stamped, json!("2026-01-02T03:04:06.000000000Z one\n"));
    let (code, status) = get(&served, "/api/v1/namespaces/kube-system/pods/slow-b/log").await;
    assert_eq!(
        (code, &status["message"]),
        (
            400,
            &json!("container \"main\" in pod \"slow-b\" is waiting to start: ImagePullBackOff")
        )
    );
    let (code, status) = get(&served, &format!("{log}?container=x")).await;
    assert_eq!(
        (code, &status["message"]),
        (400, &json!("container x is not valid for pod web-a"))
    );
}

#[tokio::test]
async fn a_followed_log_ends_with_its_container() {
    let served = serve_view(some_view()).await;
    let log = "/api/v1/namespaces/default/pods/web-a/log?follow=true";
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        served
            .view
            .send_modify(|view| Arc::make_mut(view).pods.clear());
    };
    let (answer, ()) = tokio::join!(get(&served, log), ending);
    assert_eq!(answer, (200, json!("one\nmain 1 None\nlast\n")));
}

#[tokio::test]
async fn the_socket_is_replaced_when_stale_and_refused_when_live() {
    let mut served = serve_view(some_view()).await;
    let mode = std::fs::metadata(&served.socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(
        bind(&served.socket, None).await,
        Err(BindError::InUse(_))
    ));
    served.cancel.cancel();
    let ended = served.tasks.join_next().await.expect("a task");
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    bind(&served.socket, Some("no-such-group"))
        .await
        .expect("a stale socket is replaced");
    std::fs::remove_file(&served.socket).expect("removed");
    tokio::fs::write(&served.socket, "x")
        .await
        .expect("written");
    assert!(matches!(
        bind(&served.socket, None).await,
        Err(BindError::NoSocket(_))
    ));
}
