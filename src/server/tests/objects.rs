//! Health, discovery, lists, tables and errors.

use std::sync::Arc;

use serde_json::json;

use super::{get, names, request, serve_view, some_view, table};

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
            vec![
                "configmaps",
                "events",
                "namespaces",
                "nodes",
                "pods",
                "pods/log",
                "pods/exec",
            ],
        ),
        ("/apis/apps/v1", vec!["controllerrevisions", "daemonsets"]),
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
        "DELETE /apis/apps/v1/namespaces/default/daemonsets/web HTTP/1.1",
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
