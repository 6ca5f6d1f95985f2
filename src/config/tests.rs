//! Whole configurations, from text and from directories.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time;

use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;

use super::*;

fn put(path: &Path, text: &str) {
    let mut file = fs::File::create(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

/// The configuration of a file's text and its drop-ins' texts.
fn load(file: &str, drop_ins: &[(&str, &str)]) -> Result<Config, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    put(&path, file);
    fs::create_dir(directory.path().join("config.d")).expect("a directory");
    for (name, text) in drop_ins {
        put(&directory.path().join("config.d").join(name), text);
    }
    let shown = format!("{}/", directory.path().display());
    Config::load(Some(&path)).map_err(|error| error.to_string().replace(&shown, ""))
}

/// The contract's own example.
const EXAMPLE: &str = "\
nodeName: edge-17
nodeLabels: {topology.kubernetes.io/zone: us-east-1a}
nodeTaints: [{key: dedicated, value: storage, effect: NoSchedule}]
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
manifests: {path: /etc/setlet/manifests, rescanInterval: 60s}
kubernetes: {kubeconfig: /etc/setlet/kubeconfig}
rollback: {enabled: false, progressDeadline: 10m}
crashLoopBackOff: {initial: 10s, max: 5m, reset: 10m}
imageGC: {highThresholdPercent: 85, lowThresholdPercent: 80, minimumAge: 2m}
containerLog: {maxSize: 10Mi, maxFiles: 5}
evictionHard: {memory.available: 100Mi, nodefs.available: 10%}
reserved: {cpu: 100m, memory: 200Mi}
paths:
  state: /var/lib/setlet
  run: /run/setlet
  images: /var/lib/setlet/images
  podLogs: /var/log/pods
  containerLogs: /var/log/containers
";

#[test]
fn the_documented_example_is_the_defaults_but_for_the_node() {
    let mut config = load(EXAMPLE, &[]).expect("valid");
    assert_eq!(config.node_name.take().as_deref(), Some("edge-17"));
    assert_eq!(config.node_taints[0].effect, Effect::NoSchedule);
    assert_eq!(config.node_labels.len(), 1);
    assert!(config.kubernetes.take().is_some());
    config.node_taints.clear();
    config.node_labels.clear();
    assert_eq!(config, Config::defaults());
    assert_eq!(config.socket(), Path::new("/run/setlet/setlet.sock"));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    for text in ["", EXAMPLE] {
        let config = load(text, &[]).expect("valid");
        assert_eq!(load(&config.to_yaml(), &[]), Ok(config));
    }
    let printed = Config::defaults().to_yaml();
    for line in [
        "  rescanInterval: 1m",
        "imageGC:",
        "  nodefs.available: 10%",
        "  maxSize: 10Mi",
    ] {
        assert!(
            printed.lines().any(|l| l == line),
            "{line} is not in\n{printed}"
        );
    }
}

#[test]
fn drop_ins_merge_in_name_order() {
    let config = load(
        "nodeName: a\nmanifests: {path: /m}\nnodeLabels: {x: \"1\", y: \"1\"}\n",
        &[
            ("20-b.yaml", "nodeLabels: {y: \"3\"}\nnodeTaints: []\n"),
            ("10-a.yaml", "nodeName: b\nnodeLabels: {y: \"2\", z: \"2\"}\nnodeTaints: [{key: k, effect: NoExecute}]\n"),
            ("30.yaml", "manifests: {rescanInterval: 5s, path: null}\n"),
            ("README.md", "not: [yaml"),
            (".hidden.yaml", "not: [yaml"),
            ("40-empty.yaml", "# nothing\n"),
        ],
    )
    .expect("valid");
    let labels: Vec<_> = config
        .node_labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(labels, ["x=1", "y=3", "z=2"]);
    assert_eq!(config.node_name.as_deref(), Some("b"));
    assert_eq!(config.node_taints, []);
    let defaults = Config::defaults().manifests;
    assert_eq!(config.manifests.path, defaults.path, "null is the default");
    assert_eq!(config.manifests.rescan_interval.to_string(), "5s");
}

#[test]
fn an_error_names_file_and_line() {
    let error = |text: &str| load(text, &[]).expect_err(text);
    let unknown = error("nodeName: a\nnodename: b\n");
    assert!(
        unknown.starts_with("config.yaml:2:1: unknown field `nodename`"),
        "{unknown}"
    );
    let below = error("manifests:\n  path: /m\n  rescan: 5s\n");
    assert!(
        below.starts_with("config.yaml:3:3: manifests: unknown field `rescan`"),
        "{below}"
    );
    let unit = error("manifests:\n  rescanInterval: 60\n");
    assert_eq!(
        unit,
        "config.yaml:2:19: manifests.rescanInterval: invalid value: integer `60`, expected a duration \
         such as 60s, 10m or 1h30m, of at most 2562047h47m16s"
    );
    let negative = error("containerLog: {maxSize: -1}\n");
    assert!(
        negative.starts_with("config.yaml:1:") && negative.contains("such as 10Mi or 1G"),
        "{negative}"
    );
    let long = error("manifests:\n  rescanInterval: 5000000000000000h\n");
    for part in [
        "config.yaml:2:19: manifests.rescanInterval: ",
        "5000000000000000h",
        "at most 2562047h",
    ] {
        assert!(long.contains(part), "{long}");
    }
    assert!(error("nodeName: [\n").starts_with("config.yaml:"));
    assert!(error("nodeName: a\nnodeName: b\n").contains("duplicate"));
    let kind = error("kind: KubeletConfiguration\n");
    assert_eq!(
        kind,
        "config.yaml: kind: is \"KubeletConfiguration\", must be \"SetletConfiguration\""
    );
    let drop_in = load("", &[("1.yaml", "log: {level: loud}\n")]).expect_err("a level");
    assert!(drop_in.starts_with("config.d/1.yaml:1:"), "{drop_in}");
}

#[test]
fn every_broken_rule_is_reported_with_its_field_and_file() {
    let error = load(
        "nodeName: Edge_17\nnodeLabels: {\"a b\": x, ok: \"-\"}\nevictionHard: {disk: 1Gi}\n",
        &[(
            "1.yaml",
            "nodeTaints: [{key: k, effect: NoExecute}, {key: k, effect: NoExecute}]\n\
             imageGC: {lowThresholdPercent: 90}\npaths: {state: lib}\n",
        )],
    )
    .expect_err("invalid");
    let places: Vec<String> = error
        .lines()
        .map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        places,
        [
            "config.yaml nodeName",
            "config.yaml nodeLabels[a b]",
            "config.yaml nodeLabels[ok]",
            "config.d/1.yaml nodeTaints[1]",
            "config.d/1.yaml imageGC.lowThresholdPercent",
            "config.yaml evictionHard[disk]",
            "config.d/1.yaml paths.state",
        ],
        "{error}"
    );
}

#[test]
fn a_named_file_must_be_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("none.yaml");
    let error = Config::load(Some(&path)).expect_err("missing");
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[test]
fn changes_are_told_apart_by_whether_they_need_a_restart() {
    let old = Config::defaults();
    let mut new = old.clone();
    assert_eq!(
        (live_changes(&old, &new), needs_restart(&old, &new)),
        (vec![], vec![])
    );
    new.node_labels.insert("zone".to_owned(), "a".to_owned());
    new.manifests.path = "/m".into();
    new.manifests.rescan_interval = Duration(time::Duration::from_secs(5));
    new.kubernetes = Some(Kubernetes {
        kubeconfig: "/k".into(),
    });
    assert_eq!(
        live_changes(&old, &new),
        ["nodeLabels.zone", "manifests.rescanInterval"]
    );
    assert_eq!(needs_restart(&old, &new), ["manifests.path"]);
    // What is not followed takes effect neither now nor at the next start.
    let mut unfollowed = old.clone();
    unfollowed.image_gc.high_threshold_percent = 70;
    unfollowed.eviction_hard.clear();
    assert!(unfollowed != old);
    assert_eq!(live_changes(&old, &unfollowed), [""; 0]);
    assert_eq!(needs_restart(&old, &unfollowed), [""; 0]);
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    put(&path, "nodeName: a\n");
    let config = Arc::new(Config::load(Some(&path)).expect("valid"));
    let (sender, mut loaded) = channel::channel(Loaded {
        config,
        error: None,
    });
    let (hangup, hangups) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(watch(Some(path.clone()), hangups, sender, cancel.clone()));
    // SIGHUP works whether or not the events are there yet, and is answered when the files were read.
    let (done, read) = tokio::sync::oneshot::channel();
    hangup.send(done).await.expect("running");
    read.await.expect("an answer");
    let mut until = async |name: &str, broken: bool| {
        let wait = loaded.wait_for(|l| {
            l.config.node_name.as_deref() == Some(name) && l.error.is_some() == broken
        });
        let limit = time::Duration::from_secs(5);
        tokio::time::timeout(limit, wait)
            .await
            .expect(name)
            .expect("running");
    };
    put(&path, "nodeName: b\n");
    until("b", false).await;
    put(&path, "nodeName: [\n");
    until("b", true).await;
    put(&path, "nodeName: c\n");
    until("c", false).await;
    fs::create_dir(directory.path().join("config.d")).expect("a directory");
    tokio::time::sleep(time::Duration::from_millis(300)).await;
    put(&directory.path().join("config.d/1.yaml"), "nodeName: d\n");
    until("d", false).await;
    cancel.cancel();
    let ended = tasks.join_next().await.expect("one task");
    ended.expect("no panic").expect("no error");
}

#[test]
fn what_pods_may_use_is_said_as_kubelet_has_it() {
    let config = load(
        "memorySwap: {swapBehavior: LimitedSwap}\nenforceNodeAllocatable: [none]\n\
         podPidsLimit: 100\nreserved: {pid: 1000}\n",
        &[],
    );
    let config = config.expect("valid");
    assert_eq!(config.memory_swap.swap_behavior, SwapBehavior::LimitedSwap);
    assert_eq!(config.enforce_node_allocatable, [Enforcement::None]);
    assert_eq!((config.pod_pids_limit, config.reserved.pid), (100, 1000));
    for (text, field) in [
        ("memorySwap: {swapBehavior: UnlimitedSwap}", "swapBehavior"),
        (
            "enforceNodeAllocatable: [system-reserved]",
            "enforceNodeAllocatable",
        ),
        (
            "enforceNodeAllocatable: [pods, none]",
            "enforceNodeAllocatable",
        ),
        ("podPidsLimit: 0", "podPidsLimit"),
    ] {
        let error = load(text, &[]).expect_err(text);
        assert!(error.contains(field), "{text}: {error}");
    }
}

#[test]
fn an_agents_files_are_written_by_root_only_and_are_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    put(&path, "nodeName: a\n");
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    chmod(&path, 0o644);
    Config::load_trusted(Some(&path)).expect("trusted");
    let why = || {
        let error = Config::load_trusted(Some(&path)).expect_err("not trusted");
        error.to_string()
    };
    chmod(&path, 0o664);
    assert!(why().contains("is writable by group"), "{}", why());
    Config::load(Some(&path)).expect("a command may read it");
    chmod(&path, 0o644);
    fs::create_dir(directory.path().join("config.d")).expect("a directory");
    chmod(&directory.path().join("config.d"), 0o777);
    put(&directory.path().join("config.d/a.yaml"), "");
    assert!(
        why().contains("config.d is writable by every user"),
        "{}",
        why()
    );
    chmod(&directory.path().join("config.d"), 0o755);
    let fifo = directory.path().join("config.d/b.yaml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    assert!(why().contains("it is a FIFO"), "{}", why());
}

#[test]
fn what_is_printed_means_the_same_to_every_reader_of_yaml() {
    let mut config = Config::defaults();
    config.node_name = Some("0o7".to_owned());
    let labels = [("a", "off"), ("y", "1_0")];
    config.node_labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let text = config.to_yaml();
    let expected = "nodeName: \"0o7\"\nnodeLabels:\n  a: \"off\"\n  \"y\": \"1_0\"\n";
    assert!(text.contains(expected), "{text}");
}
