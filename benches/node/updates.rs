//! The seconds without service of an update of an HTTP server, polled each millisecond: by the agent,
//! by the raw calls of CRI that end the old pod and begin the new one, and by podman.
//!
//! Each update changes the server's environment, which its page shows; it is over when the new page
//! was seen. Without a podman its row says that it was not run.

mod podman;
mod poll;
mod slow;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Agent, Containerd, foreign, wait_for};
use crate::image::Image;
use crate::raw::{self, Raw};
use crate::set::{Set, sleeper};
use crate::table::{Table, median};
use podman::Podman;
use poll::Poll;

/// Updates of each kind that take less than a second.
const SAMPLES: usize = 9;
/// Those that take longer.
const FEW: usize = 3;
/// For what an update leaves to be done.
const SETTLE: Duration = Duration::from_millis(700);
/// No update takes so long.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a bad update is watched doing no harm.
const WATCHED: Duration = Duration::from_secs(5);
/// What the set of the rollback gives a revision, in seconds.
const DEADLINE: u64 = 5;

/// Adds the rows to the table.
pub fn measure(containerd: &Arc<Containerd>, table: &mut Table) {
    let agent = Agent::started(containerd, "updates");
    agent.ready();
    slow::start(containerd);
    let (same, raw) = same_image(containerd, &agent, table);
    new_image(containerd, &agent, &raw, table);
    bad_tag(&agent, table);
    in_place(&agent, &same, table);
    surge(&agent, table);
    rollback(&agent, &raw, table);
    by_podman(containerd, &raw, table);
}

/// A server on the host's network whose page is its revision.
struct Server {
    name: &'static str,
    port: u16,
    image: String,
    annotations: Vec<&'static str>,
    spec: Vec<&'static str>,
}

impl Server {
    fn new(name: &'static str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        Self {
            name,
            port: free.expect("a free port").port(),
            image: sleeper(name).image.to_owned(),
            annotations: Vec::new(),
            spec: Vec::new(),
        }
    }

    fn script(&self) -> String {
        script(&format!("127.0.0.1:{}", self.port))
    }

    fn manifest(&self, revision: &str) -> String {
        let env = format!("env: [{{name: REV, value: {revision:?}}}]");
        let set = Set {
            script: &self.script(),
            image: &self.image,
            pod: &["hostNetwork: true"],
            container: &[&env],
            annotations: &self.annotations,
            spec: &self.spec,
            ..sleeper(self.name)
        };
        set.yaml()
    }

    fn file(&self) -> String {
        format!("{}.yaml", self.name)
    }

    fn poll(&self) -> Poll {
        Poll::start(vec![SocketAddr::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            self.port,
        )])
    }
}

/// Serves the revision, and ends at once when it is told to.
fn script(address: &str) -> String {
    format!(
        "mkdir -p /tmp/w; echo $REV >/tmp/w/index.html; trap 'exit 0' TERM; \
         httpd -f -p {address} -h /tmp/w & wait"
    )
}

/// Waits until the page was seen, and returns the time without service until then.
fn until(poll: &Poll, page: &str) -> Duration {
    wait_for(LIMIT, &format!("revision {page} answers"), || {
        poll.saw(page).then_some(()).ok_or(String::new())
    });
    let without = poll.without();
    thread::sleep(SETTLE);
    without
}

/// One update by the agent.
fn update(agent: &Agent, server: &Server, poll: &Poll, revision: &str) -> Duration {
    poll.clear();
    agent.put(&server.file(), &server.manifest(revision));
    until(poll, revision)
}

/// What the raw calls run at present.
struct Running {
    sandbox: String,
    container: String,
}

/// One update by the raw calls.
fn update_raw(
    containerd: &Containerd,
    raw: &mut Raw,
    server: &Server,
    poll: &Poll,
    revision: &str,
    old: Option<Running>,
) -> (Duration, Running) {
    let pod = raw.prepare(
        &format!("{}-{revision}", server.name),
        &server.manifest(revision),
    );
    poll.clear();
    if let Some(old) = &old {
        raw.stop(&old.container, 5);
    }
    let (sandbox, container) = raw.run_with_container(&pod);
    let without = until(poll, revision);
    if let Some(old) = old {
        foreign::remove(containerd, &old.sandbox);
    }
    (without, Running { sandbox, container })
}

/// The environment changes; both sides in turn. Returns the times of both, the agent's first.
fn same_image(
    containerd: &Containerd,
    agent: &Agent,
    table: &mut Table,
) -> (Vec<Duration>, Vec<Duration>) {
    let (of_agent, of_raw) = (Server::new("same"), Server::new("bare"));
    let (polled, polled_raw) = (of_agent.poll(), of_raw.poll());
    let mut raw = raw::connect(containerd);
    update(agent, &of_agent, &polled, "0");
    let (_, mut old) = update_raw(containerd, &mut raw, &of_raw, &polled_raw, "0", None);
    let (mut agents, mut raws) = (Vec::new(), Vec::new());
    for sample in 1..=SAMPLES {
        let revision = sample.to_string();
        agents.push(update(agent, &of_agent, &polled, &revision));
        let (without, now) = update_raw(
            containerd,
            &mut raw,
            &of_raw,
            &polled_raw,
            &revision,
            Some(old),
        );
        raws.push(without);
        old = now;
    }
    foreign::remove(containerd, &old.sandbox);
    agent.remove(&of_agent.file());
    agent.wait_empty();
    table.ratio("without service, same image", &agents, &raws, 1.2);
    (agents, raws)
}

/// The image changes, and comes slowly; the raw side has it already.
fn new_image(containerd: &Containerd, agent: &Agent, raws: &[Duration], table: &mut Table) {
    let mut server = Server::new("fetched");
    let poll = server.poll();
    update(agent, &server, &poll, "0");
    let mut agents = Vec::new();
    for sample in 1..=FEW {
        server.image = format!("{}/team/app:v{sample}", slow::HOST);
        containerd.publish(&Image::named(&server.image).ballast(4));
        agents.push(update(agent, &server, &poll, &sample.to_string()));
    }
    agent.remove(&server.file());
    agent.wait_empty();
    table.ratio("without service, new image at 1 MB/s", &agents, raws, 1.2);
}

/// The image is none.
fn bad_tag(agent: &Agent, table: &mut Table) {
    let mut server = Server::new("mistaken");
    let poll = server.poll();
    update(agent, &server, &poll, "0");
    server.image = "bad.test/team/app:no-such-tag".to_owned();
    poll.clear();
    agent.put(&server.file(), &server.manifest("1"));
    thread::sleep(WATCHED);
    let without = poll.without().as_secs_f64();
    table.figure(
        "without service, a tag that is not there",
        without,
        0.0,
        "s",
    );
    agent.remove(&server.file());
    agent.wait_empty();
}

/// Only the container is made anew, beside the same change with a new pod.
fn in_place(agent: &Agent, new_pod: &[Duration], table: &mut Table) {
    let row = "without service, in place (raw: agent, new pod)";
    let mut server = Server::new("annotated");
    server.annotations = vec!["setlet.dev/update: in-place"];
    let poll = server.poll();
    update(agent, &server, &poll, "0");
    let sample = |sample: usize| update(agent, &server, &poll, &sample.to_string());
    let times: Vec<_> = (1..=SAMPLES).map(sample).collect();
    table.ratio(row, &times, new_pod, 1.0);
    agent.remove(&server.file());
    agent.wait_empty();
}

/// The new pod begins before the old one ends; either address is the service.
fn surge(agent: &Agent, table: &mut Table) {
    let row = "without service, maxSurge 1, pod network";
    let manifest = |revision: &str| {
        let env = format!("env: [{{name: REV, value: {revision:?}}}]");
        let set = Set {
            script: &script("8080"),
            container: &[&env],
            ..sleeper("surging")
        };
        let strategy = "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}";
        let fields = format!("spec:\n  {strategy}\n  minReadySeconds: 1\n  selector:");
        set.yaml().replacen("spec:\n  selector:", &fields, 1)
    };
    let poll = Poll::start(Vec::new());
    let mut worst = Duration::ZERO;
    agent.put("surging.yaml", &manifest("0"));
    one_pod_serves(agent, &poll, "0");
    for sample in 1..=FEW {
        let revision = sample.to_string();
        poll.clear();
        agent.put("surging.yaml", &manifest(&revision));
        one_pod_serves(agent, &poll, &revision);
        worst = worst.max(poll.without());
    }
    table.figure(row, worst.as_secs_f64(), 0.0, "s");
    agent.remove("surging.yaml");
    agent.wait_empty();
}

/// Follows the pods' addresses until one pod is left, and the page was seen.
fn one_pod_serves(agent: &Agent, poll: &Poll, page: &str) {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        let pods = agent.json("/api/v1/pods").expect("the pods");
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let ips = pods
            .iter()
            .filter_map(|pod| pod["status"]["podIP"].as_str()?.parse::<IpAddr>().ok());
        let servers: Vec<_> = ips.map(|ip| SocketAddr::new(ip, 8080)).collect();
        let alone = pods.len() == 1 && servers.len() == 1;
        poll.servers(servers);
        if alone && poll.saw(page) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("revision {page} does not answer within {LIMIT:?}");
}

/// A revision that ends at once gives way to the one before.
fn rollback(agent: &Agent, raws: &[Duration], table: &mut Table) {
    let row = "without service, a crashing revision, rollback: auto";
    let mut server = Server::new("returning");
    server.annotations = vec![
        "setlet.dev/rollback: auto",
        "setlet.dev/progress-deadline: 5s",
    ];
    server.spec = vec!["minReadySeconds: 2"];
    let poll = server.poll();
    update(agent, &server, &poll, "0");
    // Long enough that it was found good.
    thread::sleep(Duration::from_secs(4));
    let crashing = server.manifest("1").replacen("mkdir", "exit 1; mkdir", 1);
    poll.clear();
    agent.put(&server.file(), &crashing);
    wait_for(LIMIT, "the service is interrupted", || {
        let without = poll.without();
        (without > Duration::ZERO)
            .then_some(())
            .ok_or(String::new())
    });
    poll_again(&poll);
    let most = Duration::from_secs(DEADLINE) + 2 * median(raws).mul_f64(1.2);
    table.figure(row, poll.without().as_secs_f64(), most.as_secs_f64(), "s");
    agent.remove(&server.file());
    agent.wait_empty();
}

/// Waits until the old revision answers for a while.
fn poll_again(poll: &Poll) {
    wait_for(LIMIT, "the revision before answers again", || {
        let before = poll.without();
        thread::sleep(Duration::from_secs(1));
        (poll.without() == before)
            .then_some(())
            .ok_or(String::new())
    });
}

/// The same server, replaced by podman.
fn by_podman(containerd: &Containerd, raws: &[Duration], table: &mut Table) {
    let row = "without service, podman kube play --replace";
    let podman = match Podman::new(containerd) {
        Ok(podman) => podman,
        Err(why) => {
            eprintln!("  {row}: {why}");
            table.not_run(row);
            return;
        }
    };
    let server = Server::new("played");
    let poll = server.poll();
    let mut times = Vec::new();
    for sample in 0..=FEW {
        let revision = sample.to_string();
        poll.clear();
        if let Err(why) = podman.play(&server.script(), &revision) {
            eprintln!("  {row}: {why}");
            table.not_run(row);
            return;
        }
        times.push(until(&poll, &revision));
    }
    // The first replaced nothing.
    times.remove(0);
    table.beside(row, &times, raws);
}
