//! Ten thousand manifests: read and decided by an agent on whose node five of them run, and checked
//! by `setlet check`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::agent::SETLET;
use crate::harness::{Agent, Containerd};
use crate::latency::quick;
use crate::process;
use crate::table::Table;

const MANIFESTS: usize = 10_000;
/// Every one of so many is for this node.
const ELIGIBLE_EACH: usize = 2_000;
/// How long what was read is kept on disk after it was decided, and more.
const SETTLE: Duration = Duration::from_secs(10);

/// Adds the figures to the table.
pub fn measure(containerd: &Arc<Containerd>, table: &mut Table) {
    let mut agent = Agent::new(containerd, "many");
    let mut all = String::new();
    for number in 0..MANIFESTS {
        let name = format!("set-{number:05}");
        let elsewhere = ["nodeSelector: {setlet.test/role: elsewhere}"];
        let selector = if number % ELIGIBLE_EACH == 0 {
            &[][..]
        } else {
            &elsewhere[..]
        };
        let manifest = quick(&name, selector).yaml();
        agent.put(&format!("{name}.yaml"), &manifest);
        all.push_str(&format!("---\n{manifest}"));
    }
    for life in ["first start", "later start"] {
        let took = until_ready(&mut agent).as_secs_f64();
        table.figure(&format!("10,000 manifests decided, {life}"), took, 2.0, "s");
        agent.wait_for(Duration::from_secs(60), "five run", || {
            let running = agent.containers();
            let running = running
                .iter()
                .filter(|c| !c.is_sandbox() && c.pid.is_some());
            match running.count() {
                5 => Ok(()),
                some => Err(format!("{some} run")),
            }
        });
        thread::sleep(SETTLE);
        let pid = agent.pid();
        for (what, line) in [("most ever", "VmHWM"), ("afterwards", "VmRSS")] {
            let mib = process::memory_mib(pid, line);
            table.figure(&format!("memory, {life}, {what}"), mib, 150.0, "MiB");
        }
        agent.term();
    }
    let file = agent.dir().join("all.yaml");
    std::fs::write(&file, all).expect("write all documents");
    let took = check(&file).as_secs_f64();
    table.figure("check of one file of 10,000 documents", took, 2.0, "s");
    let took = check(&agent.manifest("")).as_secs_f64();
    table.figure("check of a directory of 10,000 files", took, 2.0, "s");
}

/// From the start of the agent's process until it has decided what it read.
fn until_ready(agent: &mut Agent) -> Duration {
    let begin = Instant::now();
    agent.start();
    while !matches!(agent.http("/readyz"), Ok((200, _))) {
        assert!(begin.elapsed() < Duration::from_secs(60), "not ready");
        thread::sleep(Duration::from_millis(10));
    }
    begin.elapsed()
}

fn check(path: &Path) -> Duration {
    let begin = Instant::now();
    let done = Command::new(SETLET)
        .arg("check")
        .arg(path)
        .stdout(Stdio::null())
        .status()
        .expect("run setlet check");
    assert!(done.success(), "every document is in order");
    begin.elapsed()
}
