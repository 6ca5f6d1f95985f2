//! Processor time of an agent that probes two hundred containers, each every ten seconds.

use std::fmt::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Agent, Containerd};
use crate::process;
use crate::table::Table;

const PODS: usize = 20;
/// Of these, five are asked by HTTP, three by a connection and two by a command.
const CONTAINERS: usize = 10;
/// For the probes to find their pace.
const SETTLE: Duration = Duration::from_secs(30);
/// Six rounds of probes.
const PROBED: Duration = Duration::from_secs(60);

/// Adds the figures to the table.
pub fn measure(containerd: &Arc<Containerd>, table: &mut Table) {
    let mut agent = Agent::new(containerd, "probed");
    for number in 0..PODS {
        let name = format!("set-{number:02}");
        agent.put(&format!("{name}.yaml"), &manifest(&name));
    }
    agent.start();
    agent.wait_for(Duration::from_secs(300), "all are ready", || {
        let pods = agent.json("/api/v1/pods")?;
        let statuses = pods["items"].as_array().into_iter().flatten();
        let ready = statuses.flat_map(|pod| pod["status"]["containerStatuses"].as_array());
        let ready = ready.flatten().filter(|status| status["ready"] == true);
        match ready.count() {
            count if count == PODS * CONTAINERS => Ok(()),
            some => Err(format!("{some} are ready")),
        }
    });
    thread::sleep(SETTLE);
    let pid = agent.pid();
    let (cpu, begin) = (process::cpu(pid), Instant::now());
    thread::sleep(PROBED);
    let used = process::cpu(pid).saturating_sub(cpu);
    let per_second = used.as_secs_f64() * 1e3 / begin.elapsed().as_secs_f64();
    let pods = agent.json("/api/v1/pods").expect("the pods").to_string();
    assert!(!pods.contains("\"restartCount\":1"), "every probe succeeds");
    let resident = process::memory_mib(pid, "VmRSS");
    eprintln!("  VmRSS: {resident:.1} MiB");
    let what = "processor time with 200 probes each 10 s";
    table.figure(what, per_second, 20.0, "ms/s");
}

/// A set of a pod with ten containers, each a web server with a liveness probe.
fn manifest(name: &str) -> String {
    let mut text = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}}}\nspec:\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 1\n      containers:\n"
    );
    for number in 0..CONTAINERS {
        let port = 8000 + number;
        let check = match number {
            0..5 => format!("httpGet: {{path: /, port: {port}}}"),
            5..8 => format!("tcpSocket: {{port: {port}}}"),
            _ => "exec: {command: ['true']}".to_owned(),
        };
        let script = format!("echo ok >/tmp/index.html; exec httpd -f -p {port} -h /tmp");
        write!(
            text,
            "      - name: c{number}\n        image: docker.io/library/busybox:latest\n        \
             imagePullPolicy: IfNotPresent\n        command: [sh, -c, {script:?}]\n        \
             livenessProbe: {{{check}, periodSeconds: 10, timeoutSeconds: 5}}\n"
        )
        .expect("text can be written to");
    }
    text
}
