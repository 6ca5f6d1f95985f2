//! Watches, logs, and the socket itself.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::{Value, json};

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
