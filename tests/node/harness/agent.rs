//! An agent under test: the real binary with a configuration, manifests, state and logs of its
//! own, on a containerd that it may share with others.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::containerd::{Container, Containerd, tail};
use super::proxy::Proxy;
use super::{foreign, wait};

/// The binary that was built with this suite.
pub const SETLET: &str = env!("CARGO_BIN_EXE_setlet");

/// Long enough for anything that ought to take a second, on a machine with much else to do.
pub const SOON: Duration = Duration::from_secs(30);

/// An agent with its directory. Dropping it kills it and removes its pods.
pub struct Agent {
    containerd: Arc<Containerd>,
    node: String,
    dir: PathBuf,
    /// What its configuration file says; written at each [`Agent::start`].
    pub config: Value,
    /// What its environment has besides ours.
    pub env: Vec<(String, String)>,
    /// The umask it is started with.
    pub umask: &'static str,
    child: Option<Child>,
}

/// What a command of the agent's answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The exit status; 0 done, 1 failed or refused, 2 wrong usage.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said about errors.
    pub stderr: String,
}

impl Agent {
    /// An agent for the node `node`, a name no other agent on this containerd has; not started.
    pub fn new(containerd: &Arc<Containerd>, node: &str) -> Self {
        let dir = containerd.base().join("agents").join(node);
        for part in ["manifests", "tmp"] {
            std::fs::create_dir_all(dir.join(part)).expect("a directory for the agent");
        }
        let config = json!({
            "apiVersion": "setlet.dev/v1",
            "kind": "SetletConfiguration",
            "nodeName": node,
            "containerRuntimeEndpoint": format!("unix://{}", containerd.socket().display()),
            "manifests": {"path": dir.join("manifests")},
            // As its containerd's directory is named: it is removed by that name.
            "cgroupRoot": Path::new("/").join(containerd.base().file_name().expect("a name")),
            "paths": {
                "state": dir.join("state"),
                "run": dir.join("run"),
                "images": dir.join("images"),
                "podLogs": dir.join("log/pods"),
                "containerLogs": dir.join("log/containers"),
            },
        });
        Self {
            containerd: Arc::clone(containerd),
            node: node.to_owned(),
            dir,
            config,
            env: Vec::new(),
            umask: "022",
            child: None,
        }
    }

    /// Has it reach containerd through this proxy, from its next start.
    pub fn through(&mut self, proxy: &Proxy) {
        self.config["containerRuntimeEndpoint"] = json!(proxy.endpoint());
    }

    /// As [`Agent::new`], and starts it.
    pub fn started(containerd: &Arc<Containerd>, node: &str) -> Self {
        let mut agent = Self::new(containerd, node);
        agent.start();
        agent
    }

    /// The containerd that it uses.
    pub fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Where everything of it lies: `manifests`, `state`, `run`, `images`, `log`, `agent.log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a file in the manifests directory.
    pub fn manifest(&self, name: &str) -> PathBuf {
        self.dir.join("manifests").join(name)
    }

    /// Writes a manifest so that it appears whole, by rename.
    pub fn put(&self, name: &str, text: &str) {
        let whole = self.dir.join("tmp").join(name.replace('/', "_"));
        let path = self.manifest(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a subdirectory");
        std::fs::write(&whole, text).expect("write a manifest");
        std::fs::rename(&whole, path).expect("rename a manifest");
    }

    /// Removes a manifest.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifest(name)).expect("remove a manifest");
    }

    /// Writes [`Agent::config`] to its file, by rename.
    pub fn write_config(&self) {
        let whole = self.dir.join("tmp/config.yaml");
        // JSON is YAML.
        std::fs::write(&whole, format!("{:#}\n", self.config)).expect("write the configuration");
        std::fs::rename(&whole, self.config_file()).expect("rename the configuration");
    }

    /// The configuration file; drop-ins go to `config.d` beside it.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.yaml")
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/setlet.sock")
    }

    /// Writes the configuration and starts the agent; does not wait until it answers.
    pub fn start(&mut self) {
        assert!(!self.running(), "the agent of {} runs already", self.node);
        self.write_config();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("agent.log"))
            .expect("agent.log");
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("umask {} && exec \"$0\" \"$@\"", self.umask))
            .args([SETLET, "run", "--config"])
            .arg(self.config_file())
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("agent.log"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{SETLET}: {error}")));
    }

    /// Whether its process is there.
    pub fn running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the agent was started").id()
    }

    /// Waits until the agent has planned its first snapshot.
    pub fn ready(&self) {
        self.wait_for(SOON, "the agent is ready", || {
            let (status, body) = self.http("/readyz")?;
            if status == 200 {
                Ok(())
            } else {
                Err(format!("/readyz: {status} {body}"))
            }
        });
    }

    /// Ends it as a crash does.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the agent was started");
        child.kill().expect("kill the agent");
        child.wait().expect("wait for the agent");
    }

    /// Ends it as a service manager does; returns its exit status and how long it took.
    pub fn term(&mut self) -> (ExitStatus, Duration) {
        self.end_by(Signal::SIGTERM)
    }

    /// Signals it and waits for its end; returns its exit status and how long it took.
    pub fn end_by(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(signal);
        let mut child = self.child.take().expect("the agent was started");
        while start.elapsed() < SOON {
            if let Some(status) = child.try_wait().expect("wait for the agent") {
                return (status, start.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child = Some(child);
        panic!(
            "the agent did not end on {signal} within {SOON:?}\n{}",
            self.log_tail()
        );
    }

    /// Asks it to read its configuration again, after writing it.
    pub fn reload(&self) {
        self.write_config();
        self.signal(Signal::SIGHUP);
    }

    /// Signals it.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        kill(pid, signal).expect("signal the agent");
    }

    /// Runs a command against the agent's socket; panics unless it exits 0. Returns its output.
    pub fn setlet(&self, args: &[&str]) -> String {
        let answer = self.try_setlet(args);
        assert_eq!(
            answer.code,
            Some(0),
            "setlet {args:?}: {answer:#?}\n{}",
            self.log_tail()
        );
        answer.stdout
    }

    /// Runs a command against the agent's socket.
    pub fn try_setlet(&self, args: &[&str]) -> Answer {
        let output = Command::new(SETLET)
            .args(args)
            .arg("--socket")
            .arg(self.socket())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{SETLET}: {error}"));
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `GET path` on the agent's socket: the status code and the body.
    pub fn http(&self, path: &str) -> Result<(u16, String), String> {
        let mut answer = String::new();
        // HTTP/1.0: the body ends where the connection does.
        UnixStream::connect(self.socket())
            .and_then(|mut socket| {
                socket.set_read_timeout(Some(SOON))?;
                write!(socket, "GET {path} HTTP/1.0\r\nHost: setlet\r\n\r\n")?;
                socket.read_to_string(&mut answer)
            })
            .map_err(|error| format!("{}: {error}", self.socket().display()))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of headers")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok((status.ok_or("no status")?, body.to_owned()))
    }

    /// `GET path` as JSON.
    pub fn json(&self, path: &str) -> Result<Value, String> {
        let (status, body) = self.http(path)?;
        if status != 200 {
            return Err(format!("{path}: {status} {body}"));
        }
        serde_json::from_str(&body).map_err(|error| format!("{path}: {error}"))
    }

    /// All that containerd has of this agent's, sandboxes too, in the order of the ids.
    pub fn containers(&self) -> Vec<Container> {
        let mut all = self.containerd.containers();
        all.retain(|container| self.owns(container));
        all
    }

    /// The running containers of a set, without the sandboxes.
    pub fn running_of(&self, set: &str) -> Vec<Container> {
        let mut all = self.containers();
        all.retain(|one| {
            !one.is_sandbox()
                && one.pid.is_some()
                && one.pod().rsplit_once('-').is_some_and(|(of, _)| of == set)
        });
        all
    }

    /// Waits until exactly `count` containers of a set run, and returns them.
    pub fn wait_running(&self, set: &str, count: usize) -> Vec<Container> {
        self.wait_for(SOON, &format!("{count} containers of {set} run"), || {
            let running = self.running_of(set);
            if running.len() == count {
                Ok(running)
            } else {
                Err(format!("{} run", running.len()))
            }
        })
    }

    /// Waits until containerd has nothing of this agent's.
    pub fn wait_empty(&self) {
        self.wait_for(SOON, "the agent's pods are gone", || {
            let left = self.containers();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{} left", left.len()))
            }
        });
    }

    /// The text of a container's newest log, as CRI wrote it.
    pub fn container_log(&self, container: &Container) -> String {
        let name = format!(
            "{}_{}_{}",
            container.label("io.kubernetes.pod.namespace"),
            container.pod(),
            container.label("io.kubernetes.pod.uid")
        );
        let dir = self.dir.join("log/pods").join(name).join(container.name());
        let mut files: Vec<_> = std::fs::read_dir(&dir)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.sort_by_key(|file| {
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            stem.and_then(|stem| stem.parse::<u32>().ok())
        });
        files
            .last()
            .map(|file| std::fs::read_to_string(file).unwrap_or_default())
            .unwrap_or_default()
    }

    /// [`wait::wait_for`]; the message ends with the agent's log.
    pub fn wait_for<T>(
        &self,
        limit: Duration,
        what: &str,
        look: impl FnMut() -> Result<T, String>,
    ) -> T {
        wait::try_wait_for(limit, what, look)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log_tail()))
    }

    /// The end of the agent's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.dir.join("agent.log")).unwrap_or_default();
        let log = tail(&String::from_utf8_lossy(&log), 40);
        format!("--- log of the agent of {}\n{log}\n---", self.node)
    }

    fn owns(&self, container: &Container) -> bool {
        container.label("setlet.dev/node") == self.node
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        // A trial that failed may have left containerd stopped; its own drop then cleans up.
        if thread::panicking() {
            return;
        }
        for container in self.containers() {
            if container.is_sandbox() {
                foreign::clear(&self.containerd, &container.id);
            }
        }
    }
}
