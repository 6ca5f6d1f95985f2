//! Compares `received`: what the server of a case's probes and hooks was sent over HTTP.
//!
//! The checks are planned and sent by the real code, to a server of this process whose port stands in for
//! the recorded one; it redirects where the recording was. Each request that was recorded has to be among
//! those sent here. What goes over TLS, TCP and gRPC is looked at in `tests/node`, by servers that speak
//! them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Map, Value, json};
use setlet::api::ContainerName;
use setlet::blocking::Blocking;
use setlet::model::{
    Action, Check, ContainerId, ContainerState, DesiredPod, Goal, ObservedContainer, ObservedPod,
    ObservedSandbox, PodMemory, PostStart, SandboxId, SandboxState,
};
use setlet::plan::{plan_pod, plan_probes};
use setlet::probe;
use setlet::runtime::translate::Host;
use setlet::runtime::{Options, Runtime};

use crate::cri_case::Case;
use crate::difference;

const HERE: &str = "127.0.0.1";

impl Case<'_> {
    /// Sends what the pod's probes and hooks send, once each.
    pub fn compare_received(&self, pod: &DesiredPod) -> Result<(), String> {
        let received = self.case["received"].as_array().into_iter().flatten();
        let want: Vec<Value> = received
            .filter(|request| request["proto"] == "http")
            .map(recorded)
            .collect();
        if want.is_empty() {
            return Ok(());
        }
        let have = send(pod, &redirects(&want), self.host(Path::new("<ROOT_DIR>")))?;
        for request in &want {
            let alike = |sent: &&Value| sent["uri"] == request["uri"];
            let sent = have.iter().find(|sent| *sent == request);
            let sent = sent.or_else(|| have.iter().find(alike));
            let sent = sent.ok_or_else(|| format!("received: nothing like {request} is sent"))?;
            difference(request, sent).map_err(|e| format!("received\n{e}"))?;
        }
        Ok(())
    }
}

/// Where the recorded server sent its clients, by path: a request says where it comes from.
fn redirects(requests: &[Value]) -> BTreeMap<String, String> {
    let redirect = |request: &Value| {
        let referer = request["headers"]["Referer"][0].as_str()?;
        let host = request["host"].as_str()?;
        let from = referer.split_once(host)?.1;
        Some((from.to_owned(), request["uri"].as_str()?.to_owned()))
    };
    requests.iter().filter_map(redirect).collect()
}

/// The parts of a recorded request that are the client's.
fn recorded(request: &Value) -> Value {
    let mut client = Map::new();
    for part in ["method", "uri", "host", "headers", "version"] {
        client.insert(part.to_owned(), request[part].clone());
    }
    // Without an API server kubelet does not know the address of a pod on the host network.
    let host = request["host"].as_str().unwrap_or_default();
    if host.starts_with(':') {
        client["host"] = json!(format!("{HERE}{host}"));
    }
    Value::Object(client)
}

/// Sends each check to a server of its own; what those received, in the form of the recording.
fn send(
    pod: &DesiredPod,
    redirects: &BTreeMap<String, String>,
    host: Host,
) -> Result<Vec<Value>, String> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let second = Duration::from_secs(1);
    executor.block_on(async {
        let options = Options {
            // Nothing here is asked of it.
            endpoint: "unix:///none/containerd.sock".to_owned(),
            request_timeout: second,
            parallel_pulls: 1,
            node: String::new(),
            earlier: std::collections::BTreeSet::new(),
            container_logs: PathBuf::new(),
            preload: false,
            host,
            blocking: Blocking::default(),
            clock: Timestamp::now,
        };
        let (runtime, _pulls) = Runtime::new(options).map_err(|e| e.to_string())?;
        let id = ContainerId("c".to_owned());
        let mut all = Vec::new();
        for (check, is_hook) in checks(pod) {
            let server = Server::start(redirects.clone());
            let Some((check, port)) = server.instead_of(&check) else {
                continue;
            };
            // What comes of it is not of interest here.
            if is_hook {
                probe::run_hook(&runtime, HERE, &id, &check).await.ok();
            } else {
                probe::ask(&runtime, HERE, &id, &check, second).await;
            }
            all.extend(server.received(port));
        }
        Ok(all)
    })
}

/// The checks of a pod whose containers run, and whether each is a hook's.
fn checks(pod: &DesiredPod) -> Vec<(Check, bool)> {
    let (have, memory, now) = (observed(pod), PodMemory::default(), Timestamp::now());
    let run = Arc::new(pod.clone());
    let mut checks: Vec<_> = plan_probes(&run, Some(&have), &started(&have))
        .into_iter()
        .map(|target| (target.check, false))
        .collect();
    let mut end = pod.clone();
    end.goal = Goal::End;
    for want in [run, Arc::new(end)] {
        for action in plan_pod(Some(&want), Some(&have), &memory, now).actions {
            match action {
                Action::RunPostStart { hook, .. } => checks.push((hook, true)),
                Action::StopContainers { targets } => {
                    checks.extend(targets.into_iter().filter_map(|t| Some((t.hook?, true))));
                }
                _ => {}
            }
        }
    }
    checks
}

/// What is remembered once every container's hook is done.
fn started(have: &ObservedPod) -> PodMemory {
    let mut memory = PodMemory::default();
    for container in &have.containers {
        let instance = memory.instances.entry(container.id.clone()).or_default();
        instance.post_start = PostStart::Done;
    }
    memory
}

/// The pod with every container running.
fn observed(pod: &DesiredPod) -> ObservedPod {
    let (sandbox, spec) = (SandboxId("s".to_owned()), pod.spec());
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let container = |spec: &core::Container| ObservedContainer {
        id: ContainerId(spec.name.clone()),
        name: ContainerName::new(&spec.name),
        attempt: 0,
        sandbox: sandbox.clone(),
        created_at: Timestamp::now(),
        state: ContainerState::Running {
            started_at: Timestamp::now(),
        },
        image: String::new(),
        image_ref: String::new(),
        backoff_level: 0,
        image_stale: None,
        hash: String::new(),
        grace_seconds: None,
    };
    ObservedPod {
        key: pod.key().clone(),
        set: pod.record.set.clone(),
        revision: pod.record.revision.clone(),
        state_dir: None,
        sandboxes: vec![ObservedSandbox {
            id: sandbox.clone(),
            attempt: 0,
            state: SandboxState::Ready,
            created_at: Timestamp::now(),
            ips: vec![HERE.to_owned()],
        }],
        containers: sidecars.chain(&spec.containers).map(container).collect(),
    }
}

/// Writes down requests; every answer is success, or leads on.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a server of a test")]
    fn start(redirects: BTreeMap<String, String>) -> Self {
        let listener = TcpListener::bind((HERE, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heads = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who goes before the answer is seen by what is missing.
                answer(stream, &redirects, &written).ok();
            }
        });
        Self { port, heads }
    }

    /// The check of this server, and the port that it had.
    fn instead_of(&self, check: &Check) -> Option<(Check, u16)> {
        let mut check = check.clone();
        let Check::Http { port, .. } = &mut check else {
            return None;
        };
        let before = std::mem::replace(port, self.port);
        Some((check, before))
    }

    fn received(&self, port: u16) -> Vec<Value> {
        let (mine, theirs) = (format!("{HERE}:{}", self.port), format!("{HERE}:{port}"));
        let heads = self.heads.lock().expect("the heads");
        let replaced = |line: &String| line.replace(&mine, &theirs);
        heads
            .iter()
            .map(|head| parsed(&head.iter().map(replaced).collect::<Vec<_>>()))
            .collect()
    }
}

fn answer(
    mut stream: TcpStream,
    redirects: &BTreeMap<String, String>,
    heads: &Mutex<Vec<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    for line in BufReader::new(&stream).lines() {
        match line? {
            line if line.is_empty() => break,
            line => head.push(line),
        }
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1));
    let status = match redirects.get(path.unwrap_or_default()) {
        Some(location) => format!("302 Found\r\nLocation: {location}"),
        None => "200 OK".to_owned(),
    };
    heads.lock().expect("the heads").push(head);
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes())
}

/// A request's head in the form of the recording, where header names are as Go writes them.
fn parsed(head: &[String]) -> Value {
    let mut request = head.first().into_iter().flat_map(|line| line.split(' '));
    let mut word = || json!(request.next());
    let (method, uri, version) = (word(), word(), word());
    let (mut host, mut headers) = (Value::Null, Map::new());
    for (name, value) in head.iter().skip(1).filter_map(|line| line.split_once(": ")) {
        match title(name) {
            name if name == "Host" => host = json!(value),
            name => {
                let values = headers.entry(name).or_insert_with(|| json!([]));
                values.as_array_mut().expect("a list").push(json!(value));
            }
        }
    }
    json!({"method": method, "uri": uri, "host": host, "headers": headers, "version": version})
}

fn title(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + &rest.to_lowercase()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
