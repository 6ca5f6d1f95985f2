//! Memory and idle processor time of an agent with fifty running pods.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Agent, Containerd};
use crate::latency::quick;
use crate::process;
use crate::table::Table;

const PODS: usize = 50;
/// For what follows the last start.
const SETTLE: Duration = Duration::from_secs(15);
/// Two rounds of what the agent does each 30 s.
const IDLE: Duration = Duration::from_secs(60);

/// Adds the figures to the table.
pub fn measure(containerd: &Arc<Containerd>, table: &mut Table) {
    let mut agent = Agent::new(containerd, "fifty");
    for number in 0..PODS {
        let name = format!("set-{number:02}");
        let manifest = quick(&name, &["hostNetwork: true"]).yaml();
        agent.put(&format!("{name}.yaml"), &manifest);
    }
    agent.start();
    agent.wait_for(Duration::from_secs(180), "all run", || {
        let all = agent.containers();
        let running = all.iter().filter(|c| !c.is_sandbox() && c.pid.is_some());
        match running.count() {
            PODS => Ok(()),
            some => Err(format!("{some} run")),
        }
    });
    thread::sleep(SETTLE);
    let pid = agent.pid();
    let (cpu, begin) = (process::cpu(pid), Instant::now());
    thread::sleep(IDLE);
    let used = process::cpu(pid).saturating_sub(cpu);
    let per_second = used.as_secs_f64() * 1e3 / begin.elapsed().as_secs_f64();
    for line in ["VmRSS", "RssAnon", "RssFile", "VmHWM"] {
        eprintln!("  {line}: {:.1} MiB", process::memory_mib(pid, line));
    }
    let resident = process::memory_mib(pid, "VmRSS");
    table.figure("resident memory with 50 pods", resident, 16.0, "MiB");
    table.figure("idle processor time with 50 pods", per_second, 1.0, "ms/s");
}
