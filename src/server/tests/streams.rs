//! Watches, logs, and the socket itself.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Served, get, request, serve_view, some_view};
use crate::server::{BindError, bind};

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
    for long in ["999999999999", "9223372036854775807"] {
        let all = get(&served, &format!("{log}?sinceSeconds={long}")).await;
        assert_eq!(all, (200, json!("one\nmain 1 None\n")), "{long}");
    }
    // As by kube-apiserver: no number of 64 bits with a sign, and no number that makes sense.
    for (query, code) in [
        ("sinceSeconds=18446744073709551615", 400),
        ("sinceSeconds=0", 422),
        ("limitBytes=0", 422),
        ("tailLines=-1", 422),
    ] {
        let refused = get(&served, &format!("{log}?{query}")).await;
        assert_eq!(refused.0, code, "{query}");
    }
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
    assert!(matches!(ended, Ok(())), "{ended:?}");
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

#[tokio::test]
async fn half_sent_requests_keep_nobody_out() {
    let served = serve_view(some_view()).await;
    let mut half_sent = Vec::new();
    for _ in 0..600 {
        let mut stream = UnixStream::connect(&served.socket).await.expect("taken");
        stream.write_all(b"GET /healthz HTTP").await.ok();
        half_sent.push(stream);
    }
    assert_eq!(get(&served, "/healthz").await, (200, json!("ok")));
    let status = get(&served, "/apis/setlet.dev/v1/status").await;
    assert_eq!(status.0, 200);
    // The first of them gave way.
    let mut answer = Vec::new();
    half_sent[0].read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let served = serve_view(some_view()).await;
    let mut stream = UnixStream::connect(&served.socket).await.expect("taken");
    let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx";
    stream.write_all(head).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn watches_are_bounded_and_the_refusal_says_so() {
    let served = serve_view(some_view()).await;
    let mut watches = Vec::new();
    for _ in 0..128 {
        let mut stream = UnixStream::connect(&served.socket).await.expect("taken");
        let head = b"GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        let mut begun = [0; 15];
        stream.read_exact(&mut begun).await.expect("answered");
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        watches.push(stream);
    }
    let (code, status) = get(&served, "/api/v1/pods?watch=true").await;
    assert_eq!((code, &status["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(status["kind"], "Status");
    assert_eq!(get(&served, "/healthz").await, (200, json!("ok")));
    drop(watches.pop());
    // The agent hears of the end in its own time.
    let log = "/api/v1/namespaces/default/pods/web-a/log";
    while get(&served, log).await.0 == 429 {
        tokio::task::yield_now().await;
    }
}
