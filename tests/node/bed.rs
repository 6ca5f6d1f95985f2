//! Trials of the test bed itself: that its containerd runs pods, survives what the trials do to
//! it, and goes without a trace. When these fail, no other result means anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::containerd::{BUSYBOX, leftovers};
use crate::harness::foreign::{self, Recipe};
use crate::harness::proxy::{Fault, Point, Proxy};
use crate::harness::{Agent, Containerd, wait_for};
use crate::image::Image;
use crate::set;
use crate::suite::Suite;

const SOON: Duration = Duration::from_secs(10);

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("bed::runs_a_pod", runs_a_pod);
    suite.together(
        "bed::runs_an_image_as_configured",
        runs_an_image_as_configured,
    );
    suite.together("bed::opens_a_host_port", opens_a_host_port);
    suite.together(
        "bed::pulls_from_its_registry_only",
        pulls_from_its_registry_only,
    );
    suite.together("bed::a_proxy_passes_all", a_proxy_passes_all);
    suite.alone("bed::pulls_fail_at_once", pulls_fail_at_once);
    suite.alone("bed::pods_survive_a_restart", pods_survive_a_restart);
    suite.alone(
        "bed::pods_are_dead_after_a_reboot",
        pods_are_dead_after_a_reboot,
    );
    suite.alone("bed::leaves_nothing", leaves_nothing);
}

/// A pod that runs until it is told to end.
fn sleeper(name: &str) -> Recipe<'_> {
    Recipe {
        name,
        image: BUSYBOX,
        command: &["sh", "-c", "echo up; exec sleep 1000"],
        labels: &[],
        port: None,
    }
}

fn is_running(containerd: &Containerd, id: &str) -> bool {
    let all = containerd.containers();
    all.iter().any(|one| one.id == id && one.pid.is_some())
}

fn runs_a_pod(containerd: &Arc<Containerd>) {
    let pod = foreign::run(containerd, &sleeper("bed-pod"));
    assert!(pod.ip.starts_with("10."), "{pod:?}");
    wait_for(SOON, "the container logs", || {
        let log = std::fs::read_to_string(&pod.log).map_err(|error| error.to_string())?;
        if log.ends_with(" stdout F up\n") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let all = containerd.containers();
    let mine: Vec<_> = all.iter().filter(|one| one.pod() == "bed-pod").collect();
    assert_eq!(mine.len(), 2, "{mine:?}");
    assert!(mine.iter().all(|one| one.pid.is_some()), "{mine:?}");
    assert_eq!(mine.iter().filter(|one| one.is_sandbox()).count(), 1);

    foreign::remove(containerd, &pod.sandbox);
    assert!(
        !containerd
            .containers()
            .iter()
            .any(|one| one.pod() == "bed-pod")
    );
}

fn runs_an_image_as_configured(containerd: &Arc<Containerd>) {
    let name = "localhost/greeter:v1";
    let greeter = ["sh", "-c", "echo $GREETING from $(id -un)"];
    let image = Image::named(name)
        .entrypoint(&greeter)
        .user("nobody")
        .env("GREETING=hello");
    containerd.import(&image);
    let recipe = Recipe {
        image: name,
        command: &[],
        ..sleeper("bed-greeter")
    };
    let pod = foreign::run(containerd, &recipe);
    wait_for(SOON, "the image's entrypoint runs as its user", || {
        let log = std::fs::read_to_string(&pod.log).map_err(|error| error.to_string())?;
        if log.ends_with(" stdout F hello from nobody\n") {
            Ok(())
        } else {
            Err(log)
        }
    });
    foreign::remove(containerd, &pod.sandbox);
}

fn opens_a_host_port(containerd: &Arc<Containerd>) {
    let port = 31_000 + u16::try_from(std::process::id() % 1000).expect("a small number");
    let recipe = Recipe {
        command: &[
            "sh",
            "-c",
            "echo it works >/tmp/index.html; exec httpd -f -p 8080 -h /tmp",
        ],
        port: Some((port, 8080)),
        ..sleeper("bed-port")
    };
    let pod = foreign::run(containerd, &recipe);
    wait_for(SOON, "the host's port answers", || get(port));
    foreign::remove(containerd, &pod.sandbox);
    assert!(get(port).is_err());
}

fn get(port: u16) -> Result<(), String> {
    let mut answer = String::new();
    TcpStream::connect(("127.0.0.1", port))
        .and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        })
        .map_err(|error| error.to_string())?;
    if answer.ends_with("it works\n") {
        Ok(())
    } else {
        Err(answer)
    }
}

fn pulls_from_its_registry_only(containerd: &Arc<Containerd>) {
    containerd.publish(&Image::named("registry.example/team/agent:v1").ballast(1));
    foreign::pull(containerd, "registry.example/team/agent:v1").expect("a published image");
    let error = foreign::pull(containerd, "registry.example/team/agent:v2");
    assert!(error.is_err_and(|error| error.message().contains("not found")));
}

fn a_proxy_passes_all(containerd: &Arc<Containerd>) {
    let proxy = Proxy::start(containerd, "bed-proxy");
    let mut agent = Agent::new(containerd, "bed-proxy");
    agent.through(&proxy);
    agent.start();
    agent.ready();
    let (seen, told) = std::sync::mpsc::channel();
    proxy.expect(
        Point::Before(1),
        Fault::Fail(tonic::Code::Unavailable, "away for the trial"),
    );
    proxy.expect(Point::Before(2), Fault::Delay(Duration::from_millis(300)));
    let tell = move || seen.send(()).expect("the trial listens");
    proxy.expect(Point::After(3), Fault::Run(Box::new(tell)));
    let start = Instant::now();
    agent.put("a.yaml", &set::sleeper("passed").yaml());
    let before = agent.wait_running("passed", 1);
    assert!(
        start.elapsed() > Duration::from_millis(300),
        "it was delayed"
    );
    // The container may run before the call that starts it is completed.
    told.recv_timeout(SOON).expect("the third call was seen");
    assert!(!proxy.expects());
    let calls = ["RunPodSandbox", "CreateContainer", "StartContainer"];
    assert_eq!(proxy.calls(), calls, "the refused one never came through");
    assert!(
        proxy.count("Subscribe") >= 1,
        "containerd's events pass, too"
    );

    // The end of a container is heard of through the stream.
    let pid = before[0].pid.expect("a process");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("an id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kill the container");
    agent.wait_for(
        Duration::from_secs(5),
        "it is started again",
        || match proxy.count("StartContainer") {
            2 => Ok(()),
            n => Err(format!("{n} starts")),
        },
    );
}

fn pulls_fail_at_once() {
    let containerd = Containerd::launch();
    for image in ["docker.io/library/nginx:1", "registry.k8s.io/pause:3.6"] {
        let start = Instant::now();
        let error = foreign::pull(&containerd, image).expect_err("no registry runs");
        assert!(error.message().contains("connection refused"), "{error}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

fn pods_survive_a_restart() {
    let containerd = Containerd::launch();
    let pod = foreign::run(&containerd, &sleeper("bed-restart"));
    let before = containerd.containers();
    containerd.restart();
    assert_eq!(containerd.containers(), before);
    containerd.kill();
    containerd.start();
    assert_eq!(containerd.containers(), before);
    assert!(is_running(&containerd, &pod.container));
}

fn pods_are_dead_after_a_reboot() {
    let containerd = Containerd::launch();
    let pod = foreign::run(&containerd, &sleeper("bed-reboot"));
    let pids: Vec<_> = containerd
        .containers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    assert_eq!(pids.len(), 2);
    containerd.reboot();

    assert!(
        !pids
            .iter()
            .any(|pid| std::path::Path::new(&format!("/proc/{pid}/root/")).exists())
    );
    let after = containerd.containers();
    assert!(
        after.iter().any(|one| one.id == pod.sandbox),
        "on disk: {after:?}"
    );
    assert!(
        after.iter().all(|one| one.pid.is_none()),
        "not running: {after:?}"
    );

    let again = foreign::run(&containerd, &sleeper("bed-after"));
    assert!(is_running(&containerd, &again.container));
    foreign::remove(&containerd, &pod.sandbox);
}

fn leaves_nothing() {
    let containerd = Containerd::launch();
    let base = containerd.base().to_owned();
    let recipe = Recipe {
        port: Some((32_001, 80)),
        ..sleeper("bed-last")
    };
    foreign::run(&containerd, &recipe);
    assert!(
        leftovers(&base).lines().count() > 3,
        "the check sees what is there"
    );
    drop(containerd);
    assert_eq!(leftovers(&base), "");
}
