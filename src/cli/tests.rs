//! Tests of commands against a served view, in-process, and of `check` against files.

use std::sync::Arc;

use clap::Parser;

use super::{Cli, Outcome};
use crate::api::{ObjectKey, Origin};
use crate::model::{ImageState, NodeView, PullProgress, Reason, Refused, SourceCondition, Unread};
use crate::server::tests::{Served, serve_view, some_view};
use crate::status::tests::fixture::at;

async fn execute(args: &[&str]) -> (anyhow::Result<Outcome>, String) {
    let cli = Cli::try_parse_from(["setlet"].iter().chain(args)).expect("valid usage");
    let mut out = Vec::new();
    let outcome = cli.execute(&mut out).await;
    (outcome, String::from_utf8(out).expect("text"))
}

async fn run(served: &Served, args: &[&str]) -> String {
    let socket = served.socket.display().to_string();
    let args: Vec<_> = ["--socket", &socket]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    let (outcome, out) = execute(&args).await;
    assert_eq!(outcome.expect("no error"), Outcome::Done);
    out
}

async fn failure(served: &Served, args: &[&str]) -> String {
    let socket = served.socket.display().to_string();
    let args: Vec<_> = ["--socket", &socket]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    format!("{:#}", execute(&args).await.0.expect_err("an error"))
}

/// The view with something of everything that status shows.
fn busy_view() -> NodeView {
    let mut view = some_view();
    let progress = PullProgress {
        done: 12_897_485,
        total: 42_047_898,
    };
    let pulling = ImageState::Pulling {
        since: at(30),
        progress,
    };
    for pod in view
        .pods
        .values_mut()
        .filter(|pod| pod.want.key().name == "slow-b")
    {
        pod.images = Arc::new([("busybox".to_owned(), pulling.clone())].into());
    }
    let snapshot = Arc::make_mut(&mut view.snapshot);
    snapshot.refused.push(Refused {
        origin: Origin {
            file: "/m/bad.yaml".to_owned(),
            document: 2,
            line: 9,
        },
        object: Some("DaemonSet default/web".to_owned()),
        set: Some(ObjectKey::new("default", "web")),
        last_good: true,
        errors: vec!["/m/bad.yaml:12:7: spec.template: Required value".to_owned()],
    });
    snapshot.unread.push(Unread {
        path: "/m/a.bak".to_owned(),
        why: "its name does not end in .yaml, .yml or .json".to_owned(),
    });
    view
}

#[tokio::test]
async fn status_shows_everything() {
    let served = serve_view(busy_view()).await;
    let expected = "\
node edge-17  ready  containerd 1.6.20   3 sets, 1 running, 1 held, 1 not for this node, 1 refused

SET                POD      STATE               READY   RESTARTS   AGE
default/gpu        -        not for this node
    spec.template.spec.nodeSelector[gpu]: wants \"true\", the node has no label gpu
default/web        web-a    Running             1/1     1          60s
kube-system/slow   slow-b   ImagePullBackOff    0/1     0          60s
    pulling busybox 12.3 of 40.1 MiB
    ImagePullBackOff (main): tried again in 20 s: Back-off pulling image \"busybox\"

refused:
  DaemonSet default/web: file changed, refused; the earlier version goes on (/m/bad.yaml, document 2)
    /m/bad.yaml:12:7: spec.template: Required value

not read:
  /m/a.bak: its name does not end in .yaml, .yml or .json
";
    assert_eq!(run(&served, &["status"]).await, expected);
    let json: serde_json::Value =
        serde_json::from_str(&run(&served, &["status", "-o", "json"]).await).expect("JSON");
    assert_eq!(json["sets"][1]["pods"][0]["state"], "Running");
    assert!(
        run(&served, &["status", "-o", "yaml"])
            .await
            .contains("node: edge-17")
    );
}

#[tokio::test]
async fn status_says_what_is_wrong_with_the_node() {
    let mut view = NodeView::default();
    Arc::make_mut(&mut view.node).name = "edge-17".to_owned();
    Arc::make_mut(&mut view.node).unschedulable = true;
    view.runtime = Some(Reason::new("RuntimeUnreachable", "no socket").retried_at(at(61)));
    view.network = Some(Reason::new(Reason::NETWORK_NOT_READY, "no plugin"));
    let snapshot = Arc::make_mut(&mut view.snapshot);
    snapshot.condition = SourceCondition::Unreadable("/m: no such directory".to_owned());
    let served = serve_view(view).await;
    let expected = "\
node edge-17  not ready, cordoned     0 sets
  RuntimeUnreachable: tried again in 1 s: no socket
  NetworkNotReady: no plugin
  manifests cannot be read: /m: no such directory; what runs goes on
";
    assert_eq!(run(&served, &["status"]).await, expected);
}

#[tokio::test]
async fn explain_finds_the_set_and_says_why() {
    let served = serve_view(busy_view()).await;
    let expected = "\
default/gpu does not run on node edge-17
read from sets.yaml:1

rules:
  no   spec.template.spec.nodeSelector[gpu]: wants \"true\", the node has no label gpu
";
    assert_eq!(run(&served, &["explain", "gpu"]).await, expected);
    let slow = run(&served, &["explain", "slow"]).await;
    assert!(
        slow.starts_with("kube-system/slow runs on node edge-17\n"),
        "{slow}"
    );
    assert!(
        slow.contains("pod slow-b: ImagePullBackOff, 0/1 ready, 0 restarts\n"),
        "{slow}"
    );
    assert_eq!(run(&served, &["explain", "kube-system/slow"]).await, slow);
    assert_eq!(
        run(&served, &["explain", "slow", "-n", "kube-system"]).await,
        slow
    );
    let web = run(&served, &["explain", "web"]).await;
    assert!(
        web.contains("refused, the earlier version goes on: /m/bad.yaml:9\n"),
        "{web}"
    );
    assert_eq!(
        failure(&served, &["explain", "nope"]).await,
        "error from the agent (NotFound): daemonsets.apps \"nope\" not found"
    );
}

#[tokio::test]
async fn get_prints_tables_as_kubectl() {
    let served = serve_view(some_view()).await;
    let expected = "\
NAMESPACE     NAME     READY   STATUS             RESTARTS      AGE
default       web-a    1/1     Running            1 (35s ago)   60s
kube-system   slow-b   0/1     ImagePullBackOff   0             60s
";
    assert_eq!(run(&served, &["get", "pods", "-A"]).await, expected);
    let expected = "\
NAME   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE
web    1         1         1       1            1           <none>          <unknown>
";
    assert_eq!(run(&served, &["get", "ds", "web"]).await, expected);
    let wide = run(&served, &["get", "po", "-l", "app=web", "-o", "wide"]).await;
    assert!(wide.contains("10.0.0.5   edge-17"), "{wide}");
    assert_eq!(
        run(&served, &["get", "ds", "-o", "name"]).await,
        "daemonset.apps/gpu\ndaemonset.apps/web\n"
    );
    assert!(
        run(&served, &["get", "no", "-o", "yaml"])
            .await
            .contains("kind: List\n")
    );
    let one = run(&served, &["get", "node", "edge-17", "-o", "json"]).await;
    assert!(one.contains("\"kind\": \"Node\""), "{one}");
    assert_eq!(run(&served, &["get", "pods", "-n", "none"]).await, "");
}

#[tokio::test]
async fn get_goes_on_with_what_changes() {
    let served = serve_view(some_view()).await;
    let changing = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        served.view.send_modify(|view| {
            for pod in Arc::make_mut(view).pods.values_mut() {
                pod.have = None;
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        served.cancel.cancel();
    };
    let (text, ()) = tokio::join!(run(&served, &["get", "pod", "web-a", "-w"]), changing);
    let expected = "\
NAME    READY   STATUS    RESTARTS      AGE
web-a   1/1     Running   1 (35s ago)   60s
web-a   0/1     ContainerCreating   0             60s
";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn logs_of_a_pod_or_a_set() {
    let served = serve_view(some_view()).await;
    for target in ["web-a", "pod/web-a", "web", "ds/web", "default/web"] {
        assert_eq!(
            run(&served, &["logs", target]).await,
            "one\nmain 1 None\n",
            "{target}"
        );
    }
    assert_eq!(
        run(&served, &["logs", "web", "-p", "--tail", "3"]).await,
        "one\nmain 0 Some(3)\n"
    );
    assert_eq!(
        failure(&served, &["logs", "slow"]).await,
        "error from the agent (BadRequest): container \"main\" in pod \"slow-b\" is waiting to \
         start: ImagePullBackOff"
    );
    assert_eq!(
        failure(&served, &["logs", "gpu"]).await,
        "set default/gpu has no pod on this node; \"setlet explain default/gpu\" says why"
    );
    assert_eq!(
        failure(&served, &["logs", "nope"]).await,
        "there is no pod and no set default/nope"
    );
}

#[tokio::test]
async fn exec_ends_as_the_command_does() {
    let served = serve_view(some_view()).await;
    let socket = served.socket.display().to_string();
    let exec = |command: &'static str| {
        let socket = &socket;
        async move { execute(&["exec", "ds/web", "--socket", socket, "--", command]).await }
    };
    let (outcome, _) = exec("fail").await;
    assert_eq!(outcome.expect("no error"), Outcome::Exited(3));
    let (outcome, _) = exec("die").await;
    let error = outcome.expect_err("an error").to_string();
    assert!(error.contains("broke off"), "{error}");
    assert_eq!(
        failure(&served, &["exec", "slow", "--", "sh"]).await,
        "error from the agent (BadRequest): container \"main\" in pod \"slow-b\" is not \
         running: ImagePullBackOff"
    );
    assert_eq!(
        failure(&served, &["exec", "nope", "--", "sh"]).await,
        "there is no pod and no set default/nope"
    );
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_said_so() {
    let (outcome, _) = execute(&["--socket", "/nowhere/setlet.sock", "status"]).await;
    assert_eq!(
        format!("{:#}", outcome.expect_err("an error")),
        "cannot reach the agent at /nowhere/setlet.sock: No such file or directory (os error 2); \
         is \"setlet run\" running?"
    );
    let (outcome, out) = execute(&["--socket", "/nowhere/setlet.sock", "version"]).await;
    assert_eq!(outcome.expect("no error"), Outcome::Done);
    assert!(out.contains("agent    cannot reach the agent"), "{out}");
}

#[tokio::test]
async fn versions_and_completion() {
    let served = serve_view(some_view()).await;
    let out = run(&served, &["version"]).await;
    assert!(out.ends_with("runtime  containerd://1.6.20\n"), "{out}");
    assert!(
        run(&served, &["completion", "bash"])
            .await
            .contains("setlet")
    );
}

#[test]
fn wrong_usage_is_refused() {
    for args in [
        &["get", "cows"][..],
        &["check"],
        &["explain"],
        &["logs", "a", "--since", "x"],
        &["exec", "a"],
        &["exec", "a", "sh"],
        &["fly"],
    ] {
        let error = Cli::try_parse_from(["setlet"].iter().chain(args)).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
}

#[tokio::test]
async fn check_admits_files_and_directories() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let set = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}}}\nspec:\n  \
             selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    \
             spec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    };
    std::fs::create_dir(at("sub")).expect("made");
    for (name, text) in [
        ("a.yaml", set("a")),
        ("sub/b.yml", set("b")),
        ("notes.txt", "x".to_owned()),
    ] {
        tokio::fs::write(at(name), text).await.expect("written");
    }
    let path = directory.path().display().to_string();
    let (outcome, out) = execute(&["check", &path]).await;
    assert_eq!(outcome.expect("no error"), Outcome::Done);
    let expected = format!(
        "{path}/a.yaml: ok: DaemonSet default/a\n\
         {path}/notes.txt: not read: its name does not end in .yaml, .yml or .json\n\
         {path}/sub/b.yml: ok: DaemonSet default/b\n"
    );
    assert_eq!(out, expected);

    let wrong = set("c").replace("image: i", "immage: i");
    let text = format!("{}---\n{wrong}", set("a"));
    tokio::fs::write(at("z.yaml"), text).await.expect("written");
    let (outcome, out) = execute(&["check", "-o", "json", &path]).await;
    assert_eq!(outcome.expect("no error"), Outcome::Refused);
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let errors = found[3]["errors"].as_array().expect("errors");
    assert_eq!(errors[0]["field"], "metadata.name");
    assert!(
        errors.iter().any(|e| e["document"] == 2 && e["line"] == 17),
        "{errors:#?}"
    );
    let (outcome, _) = execute(&["check", "/nowhere/x.yaml"]).await;
    assert!(outcome.is_err());
}
