//! Work on a pod's files that hangs, is asked to stop, and comes back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::sys::stat::Mode;
use serde_json::json;

use super::*;
use crate::blocking::{Blocking, Limits, Unanswered};
use crate::cri::CgroupDriver;
use crate::model::{NodeFacts, VolumePaths};
use crate::runtime::translate::{PodSettings, RuntimeFeatures};

/// Runs on one thread as the agent does.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
    runtime.shutdown_background();
}

fn host(root: &Path) -> Host {
    Host {
        node: Arc::new(NodeFacts::default()),
        pods_root: root.join("pods"),
        pod_logs: root.join("logs"),
        cgroup_root: "/setlet".to_owned(),
        cgroup_driver: CgroupDriver::Cgroupfs,
        resolv_conf: PathBuf::new(),
        features: RuntimeFeatures::default(),
        settings: PodSettings::default(),
    }
}

/// What is below a directory, by name.
fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).expect("a list");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("text"))
        .collect();
    names.sort();
    names
}

/// Does work that is asked to stop while it waits, and gives what it then comes to.
async fn stopped<T: Send + 'static>(work: impl FnOnce(&Progress) -> T + Send + 'static) -> T {
    let room = Blocking::default();
    let (begin, waits) = mpsc::channel::<()>();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let job = room.run("pod", move |on| {
        entered.send(()).ok();
        waits.recv().ok();
        tell.send(work(on)).ok();
    });
    // Whoever waited goes away.
    tokio::select! {
        _ = job => panic!("nobody let it go on"),
        began = inside => began.expect("it began"),
    }
    drop(begin);
    told.await.expect("it came back")
}

#[test]
fn a_step_that_hung_is_undone_when_it_comes_back() {
    block_on(async {
        let root = tempfile::tempdir().expect("a directory");
        let (pipe, made) = (root.path().join("pipe"), root.path().join("made"));
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a FIFO");
        let room = Blocking::new(Limits {
            hung: Duration::from_millis(200),
            ..Limits::default()
        });
        let (tell, told) = tokio::sync::oneshot::channel();
        let (reader, directory) = (pipe.clone(), made.clone());
        let hung = room.run("pod", move |on| {
            let make = || {
                // Like a mount that does not answer: it waits for whoever writes.
                let text = fs::read_to_string(&reader)?;
                fs::create_dir(&directory)?;
                Ok(text)
            };
            let done = steps::step(on, make, |_| drop(fs::remove_dir(&directory)));
            let found = directory.exists();
            let next = steps::step(on, || fs::create_dir(&directory), drop);
            tell.send((done, found, next)).ok();
        });
        let answer = hung.await;
        assert!(matches!(answer, Err(Unanswered::Hung { .. })), "{answer:?}");
        assert!(!made.exists());
        // It answers again.
        let writer = fs::OpenOptions::new().write(true).open(&pipe);
        drop(writer.expect("opened"));
        let (done, found, next) = told.await.expect("it came back");
        assert!(done.is_err());
        assert!(!found, "what was made after the stop is undone");
        assert!(next.is_err());
        assert!(!made.exists());
    });
}

#[test]
fn work_that_comes_back_late_makes_nothing_of_a_pod() {
    block_on(async {
        let root = tempfile::tempdir().expect("a directory");
        let at = root.path().to_owned();
        let sandbox = stopped(move |on| {
            let spec = json!({"containers": [{"name": "c"}]});
            prepare_pod(&DesiredPod::of_test(spec, &[]), &host(&at), on)
        });
        let why = sandbox.await.expect_err("stopped").message;
        assert!(why.ends_with("it was asked to stop"), "{why}");
        let at = root.path().to_owned();
        let container = stopped(move |on| {
            let pod = DesiredPod::of_test(json!({"containers": [{"name": "c"}]}), &[]);
            let input = ContainerInput {
                container: &ContainerName::new("c"),
                attempt: 0,
                backoff_level: 0,
                image: &crate::model::ImageState::Queued,
                volumes: &VolumePaths::default(),
                ips: &[],
            };
            prepare_container(&pod, &input, &host(&at), on)
        });
        assert!(container.await.is_err());
        let volume = root.path().join("volume");
        fs::create_dir(&volume).expect("a directory");
        let (from, target) = (volume.clone(), root.path().join("target"));
        let bound = stopped(move |on| subpath::bind(&from, "sub/path", &target, on));
        assert!(bound.await.is_err());
        assert_eq!(names(root.path()), ["volume"]);
        assert!(names(&volume).is_empty());
    });
}

#[test]
fn a_pod_without_resolver_gets_none_of_the_hosts() {
    let root = tempfile::tempdir().expect("a directory");
    // `resolvConf: ""`, as kubelet has it.
    let host = host(root.path());
    for policy in ["Default", "ClusterFirst"] {
        let spec = json!({"dnsPolicy": policy, "containers": [{"name": "c"}]});
        let pod = DesiredPod::of_test(spec, &[]);
        let found = prepare_pod(&pod, &host, &Progress::default()).expect("made");
        assert_eq!(found.resolv, ResolvConf::default());
        let told = crate::runtime::translate::dns::config(&pod, &found.resolv, &host);
        assert_eq!(told.servers, ["127.0.0.1"], "{policy}");
        assert_eq!(told.searches, ["."], "{policy}");
    }
}
