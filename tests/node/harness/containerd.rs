//! A containerd of the suite's own: started, stopped, killed, rebooted and removed without a trace.
//! What it is configured with, and how it is found again after a crash, is in
//! `private-containerd.sh`, which the demo uses too.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{ListContainersRequest, ListTasksRequest};
use containerd_client::with_namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use setlet::cri;
use setlet::cri::runtime_service_client::RuntimeServiceClient;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::image::Image;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/node/private-containerd.sh"
);

/// The pause image's name, as in the configuration that the script writes.
const PAUSE: &str = "setlet.test/pause:1";

/// An image that is always there.
pub const BUSYBOX: &str = "docker.io/library/busybox:latest";

/// Those that are running, for [`destroy_on_signal`].
static BASES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A containerd with its directory. Dropping it ends all that runs in it and removes it.
pub struct Containerd {
    base: PathBuf,
    child: Mutex<Option<Child>>,
    registry: Mutex<Option<Child>>,
}

/// A container or a sandbox as containerd has it: read past CRI, so that CRI's view and the
/// agent's can be checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// containerd's id.
    pub id: String,
    /// The image it was made from.
    pub image: String,
    /// All labels, those of CRI's own too.
    pub labels: BTreeMap<String, String>,
    /// The id of its first process when it runs.
    pub pid: Option<u32>,
}

impl Container {
    /// Whether this is a pod's sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.label("io.cri-containerd.kind") == "sandbox"
    }

    /// A label's value; empty when there is none.
    pub fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }

    /// The pod it belongs to.
    pub fn pod(&self) -> &str {
        self.label("io.kubernetes.pod.name")
    }

    /// Its name in the pod; empty for a sandbox.
    pub fn name(&self) -> &str {
        self.label("io.kubernetes.container.name")
    }
}

impl Containerd {
    /// Starts one on a new directory, with the pause image and [`BUSYBOX`] in it.
    ///
    /// # Panics
    ///
    /// When something that it needs is missing, or it does not answer within 30 s.
    pub fn launch() -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(|| drop(script(&["sweep"])));
        let base = PathBuf::from(script(&["create", &std::process::id().to_string()]).trim());
        lock(&BASES).push(base.clone());
        let containerd = Self {
            base,
            child: Mutex::new(None),
            registry: Mutex::new(None),
        };
        containerd.start();
        containerd.import(&Image::pause(PAUSE));
        containerd.import(&Image::named(BUSYBOX));
        containerd
    }

    /// Where all of it lies.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The socket on which CRI and containerd's own services answer.
    pub fn socket(&self) -> PathBuf {
        self.base.join("containerd.sock")
    }

    /// Starts it on the same directory, and waits until CRI answers.
    pub fn start(&self) {
        let mut child = lock(&self.child);
        assert!(child.is_none(), "containerd runs already");
        // A process group of its own: Ctrl-C is for the suite, which then ends it in order.
        *child = Some(
            Command::new(SCRIPT)
                .arg("run")
                .arg(&self.base)
                .stdin(Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap_or_else(|error| panic!("{SCRIPT}: {error}")),
        );
        script(&["ready", self.base_str()]);
    }

    /// Ends it as a service manager does; its containers run on.
    pub fn stop(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it at once; its containers run on.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// [`Self::stop`] and [`Self::start`].
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    /// The machine goes down without warning and comes up: every process of every container, shim
    /// and agent is gone, and so are mounts, network namespaces, sockets and `/run`. What was on
    /// disk is there, and containerd runs again and knows its containers, all dead.
    pub fn reboot(&self) {
        self.power_off();
        self.start();
    }

    /// The first half of [`Self::reboot`].
    pub fn power_off(&self) {
        if lock(&self.child).is_some() {
            self.kill();
        }
        script(&["reboot", self.base_str()]);
        if let Some(mut registry) = lock(&self.registry).take() {
            drop(registry.wait());
        }
    }

    /// Runs `ctr` in CRI's namespace and returns what it printed.
    pub fn ctr(&self, args: &[&str]) -> String {
        script(&[&["ctr", self.base_str()], args].concat())
    }

    /// As [`ctr`](Self::ctr), for what may fail at first; the error is what it says.
    pub fn try_ctr(&self, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(SCRIPT);
        command.args(["ctr", self.base_str()]).args(args);
        let done = command.output().map_err(|e| e.to_string())?;
        if done.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    /// Puts an image into containerd's store.
    pub fn import(&self, image: &Image) {
        let archive = image.archive(&self.base);
        self.ctr(&["images", "import", &archive.to_string_lossy()]);
        drop(std::fs::remove_file(archive));
    }

    /// Takes an image out of containerd's store.
    pub fn remove_image(&self, name: &str) {
        self.ctr(&["images", "rm", "--sync", name]);
    }

    /// Puts an image into the registry that this containerd takes every name from, whatever host
    /// the name has, and starts that registry. Without it every pull fails at once.
    pub fn publish(&self, image: &Image) {
        let port = self.start_registry();
        let archive = image.archive(&self.base);
        let source = format!("docker-archive:{}", archive.display());
        let target = format!("docker://127.0.0.1:{port}/{}", image.repository());
        run(Command::new("skopeo").args([
            "copy",
            "-q",
            "--insecure-policy",
            "--dest-tls-verify=false",
            &source,
            &target,
        ]));
        drop(std::fs::remove_file(archive));
    }

    /// Starts the registry unless it runs; returns its port on the loopback address.
    pub fn start_registry(&self) -> u16 {
        let port = std::fs::read_to_string(self.base.join("registry.port")).expect("port");
        let port = port.trim().parse().expect("a port");
        let mut registry = lock(&self.registry);
        if registry.is_none() {
            let log = std::fs::File::create(self.base.join("registry.log")).expect("registry.log");
            *registry = Some(
                Command::new("docker-registry")
                    .arg("serve")
                    .arg(self.base.join("registry.yml"))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(log)
                    .process_group(0)
                    .spawn()
                    .unwrap_or_else(|error| panic!("docker-registry: {error}")),
            );
            let limit = std::time::Duration::from_secs(10);
            super::wait_for(limit, "the registry answers", || {
                std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())
            });
        }
        port
    }

    /// Stops the registry: from now on every pull fails at once.
    pub fn stop_registry(&self) {
        if let Some(mut registry) = lock(&self.registry).take() {
            registry.kill().expect("kill the registry");
            registry.wait().expect("wait for the registry");
        }
    }

    /// Everything in CRI's namespace, in the order of the ids.
    pub fn containers(&self) -> Vec<Container> {
        let (containers, tasks) = block_on(async {
            let channel = self.channel().await;
            let request = with_namespace!(ListContainersRequest { filters: vec![] }, "k8s.io");
            let containers = ContainersClient::new(channel.clone()).list(request).await;
            let request = with_namespace!(ListTasksRequest::default(), "k8s.io");
            let tasks = TasksClient::new(channel).list(request).await;
            (
                containers
                    .expect("containerd lists containers")
                    .into_inner(),
                tasks.expect("containerd lists tasks").into_inner(),
            )
        });
        let running: BTreeMap<_, _> = tasks
            .tasks
            .into_iter()
            .filter(|task| task.status == containerd_client::types::v1::Status::Running as i32)
            .map(|task| (task.id, task.pid))
            .collect();
        let mut all: Vec<_> = containers
            .containers
            .into_iter()
            .map(|container| Container {
                pid: running.get(&container.id).copied(),
                id: container.id,
                image: container.image,
                labels: container.labels.into_iter().collect(),
            })
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Of these, what runs or CRI knows of. Of a call that was cut off containerd 2.1 may keep a container
    /// that its CRI does not list, which nobody who speaks CRI can remove.
    pub fn known(&self, containers: Vec<Container>) -> Vec<Container> {
        let (pods, listed) = block_on(async {
            let mut runtime = RuntimeServiceClient::new(self.channel().await);
            let pods = runtime.list_pod_sandbox(cri::ListPodSandboxRequest::default());
            let pods = pods.await.expect("CRI lists sandboxes").into_inner().items;
            let listed = runtime.list_containers(cri::ListContainersRequest::default());
            let listed = listed.await.expect("CRI lists containers").into_inner();
            (pods, listed.containers)
        });
        let ids = pods.into_iter().map(|pod| pod.id);
        let ids: BTreeSet<_> = ids.chain(listed.into_iter().map(|one| one.id)).collect();
        let is_known = |one: &Container| one.pid.is_some() || ids.contains(&one.id);
        containers.into_iter().filter(is_known).collect()
    }

    /// A connection to [`Self::socket`], for the raw CRI client or containerd's own services.
    pub async fn channel(&self) -> Channel {
        Endpoint::try_from(format!("unix:{}", self.socket().display()))
            .expect("a unix endpoint")
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.socket().display()))
    }

    fn base_str(&self) -> &str {
        self.base.to_str().expect("mktemp gives plain names")
    }

    fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child).take().expect("containerd runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        kill(pid, signal).expect("signal containerd");
        child.wait().expect("wait for containerd");
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = std::fs::read_to_string(self.base.join("containerd.log"));
            eprintln!("{}", tail(&log.unwrap_or_default(), 15));
        }
        destroy(&self.base);
        for child in [&self.child, &self.registry] {
            if let Some(mut child) = lock(child).take() {
                drop(child.wait());
            }
        }
        lock(&BASES).retain(|base| *base != self.base);
    }
}

/// What is still there of a containerd that was destroyed; empty when all is well.
pub fn leftovers(base: &Path) -> String {
    script(&["leftovers", &base.to_string_lossy()])
}

/// On Ctrl-C or SIGTERM destroys what runs, then exits. A suite that is killed harder is cleaned
/// up after by the next.
pub fn destroy_on_signal() {
    thread::spawn(|| {
        use tokio::signal::unix::{SignalKind, signal};
        block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT");
            let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM");
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Becoming the script ends the trials' threads at once: nothing is written meanwhile.
        let error = Command::new("sh")
            .args(["-c", r#""$0" destroy "$@"; exit 130"#, SCRIPT])
            .args(lock(&BASES).iter())
            .exec();
        panic!("sh: {error}");
    });
}

/// The last `lines` of a log.
pub fn tail(log: &str, lines: usize) -> String {
    let all: Vec<_> = log.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Runs a future to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Runs a command, returns what it printed.
///
/// # Panics
///
/// When it fails, with what it said.
pub fn run(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script(args: &[&str]) -> String {
    run(Command::new(SCRIPT).args(args))
}

fn destroy(base: &Path) {
    let done = Command::new(SCRIPT).arg("destroy").arg(base).status();
    if !done.is_ok_and(|status| status.success()) {
        eprintln!("{} could not be removed", base.display());
    }
}

/// A lock that a panicking trial held is as good as any: cleaning up goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
