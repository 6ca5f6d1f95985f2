//! Descriptions of objects of a served view, whole.

use std::sync::Arc;

use clap::Parser;

use crate::cli::Cli;
use crate::model::{EventLog, Involved, Note, PodReport};
use crate::server::tests::{Served, serve_view};
use crate::status::events::record;
use crate::status::tests::fixture::{at, container, exited, pod, report, running, set, view};

async fn run(served: &Served, args: &[&str]) -> String {
    let socket = served.socket.display().to_string();
    let args = ["setlet", "--socket", &socket]
        .into_iter()
        .chain(args.iter().copied());
    let mut out = Vec::new();
    let cli = Cli::try_parse_from(args).expect("valid usage");
    match cli.execute(&mut out).await {
        Ok(_) => String::from_utf8(out).expect("text"),
        Err(error) => format!("{error:#}"),
    }
}

async fn served() -> Served {
    let of_pod = "      volumes: [{name: tmp, emptyDir: {sizeLimit: 1Mi}}, {name: host, hostPath: {path: /x}}]\n";
    let web = set("default", "web", of_pod);
    let containers = vec![
        container("main", 1, running(30)),
        container("main", 0, exited(1, 20, 25)),
    ];
    let web_pod: PodReport = pod(&web, "web-a", containers);
    let report = report(crate::model::Verdict::Run, &[&web_pod]);
    let served = serve_view(view(vec![(web, report)], vec![web_pod.clone()])).await;
    let whole = Involved::pod(web_pod.want.key());
    let main = whole.clone().at("spec.containers{main}".to_owned());
    let mut log = EventLog::default();
    for (second, note) in [
        (
            10,
            Note::normal(
                main.clone(),
                "Pulled",
                "Container image \"busybox\" is there",
            ),
        ),
        (20, Note::warning(main.clone(), "BackOff", "Back-off")),
        (50, Note::warning(main, "BackOff", "Back-off")),
        (
            55,
            Note::normal(
                Involved::set(&web_pod.want.record.set),
                "SuccessfulCreate",
                "Created pod: web-a",
            ),
        ),
        (
            56,
            Note::normal(Involved::node("edge-17"), "Starting", "Starting setlet."),
        ),
    ] {
        record(&mut log, note, at(second), second.to_string());
    }
    served.events.send_replace(Arc::new(log));
    served
}

#[tokio::test]
async fn a_pod() {
    let served = served().await;
    let told = run(&served, &["describe", "pod", "web-a"]).await;
    let head = "\
Name:             web-a
Namespace:        default
Priority:         0
Node:             edge-17/192.0.2.17
Start Time:       Fri, 02 Jan 2026 03:04:05 +0000
";
    for line in head.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = told
            .lines()
            .any(|line| line.split_whitespace().eq(words.iter().copied()));
        assert!(found, "{line}\n---\n{told}");
    }
    for part in [
        "    State:         Running\n      Started:  Fri, 02 Jan 2026 03:04:35 +0000\n",
        "    Last State:  Terminated\n      Reason:     Error\n      Exit Code:  1\n",
        "    Restart Count:  1\n",
        "Volumes:\n  tmp:\n    Type:       EmptyDir (a temporary directory that shares a pod's \
         lifetime)\n    Medium:\n    SizeLimit:  1Mi\n",
        "    Path:  /x\n",
        "QoS Class:       BestEffort\n",
        "Events:\n  Type      Reason    Age                 From     Message\n  \
         ----      ------    ---                 ----     -------\n  \
         Normal    Pulled    50s                 setlet   spec.containers{main}: Container image \
         \"busybox\" is there\n  \
         Warning   BackOff   10s (x2 over 40s)   setlet   spec.containers{main}: Back-off\n",
    ] {
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
    // The beginning of a name is enough.
    assert_eq!(run(&served, &["describe", "po", "web"]).await, told);
    assert_eq!(
        run(&served, &["describe", "pod", "nosuch"]).await,
        "pods \"nosuch\" not found"
    );
}

#[tokio::test]
async fn a_set_and_the_node() {
    let served = served().await;
    let told = run(&served, &["describe", "ds", "web"]).await;
    for part in [
        "Name:           web\nNamespace:      default\nSelector:       app=web\n\
         Node-Selector:  <none>\n",
        "Desired Number of Nodes Scheduled: 1\n",
        "Pod Template:\n  Labels:  app=web\n",
        "    main:\n      Image:        busybox\n",
        "  Normal   SuccessfulCreate   5s    setlet   Created pod: web-a\n",
    ] {
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
    let told = run(&served, &["describe", "node"]).await;
    for part in [
        "Name:           edge-17\n",
        "Conditions:\n  Type    Status   Reason         Message\n",
        "Pods:  (1 in total)\n",
        "  default     web-a   Running\n",
        "  Normal   Starting   4s    setlet   Starting setlet.\n",
    ] {
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
}

#[tokio::test]
async fn events_are_listed() {
    let served = served().await;
    assert_eq!(
        run(
            &served,
            &["get", "events", "--field-selector", "type=Warning"]
        )
        .await,
        "LAST SEEN   TYPE      REASON    OBJECT      MESSAGE\n\
         10s         Warning   BackOff   pod/web-a   Back-off\n"
    );
    let all = run(&served, &["get", "events", "-A"]).await;
    assert_eq!(all.lines().count(), 5, "{all}");
    assert!(all.starts_with("NAMESPACE   LAST SEEN   TYPE"), "{all}");
    let refused = run(&served, &["get", "events", "--field-selector", "spec.x=y"]).await;
    assert!(
        refused.contains("field label not supported: spec.x"),
        "{refused}"
    );
}
