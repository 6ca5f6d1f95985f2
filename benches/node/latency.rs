//! From a manifest to a running container, and from a crash to running again, each beside the raw
//! calls, one sample of each side in turn.
//!
//! Both sides end at the time stamp of containerd's `/tasks/start`, which comes within StartContainer;
//! what is left of that call is the same for both. The agent's begins before the rename of the
//! manifest and before the SIGKILL, that of the calls before the first one is sent. Those of a restart
//! are sent once when containerd has long forgotten the crash, and once as soon as it tells of it,
//! from the SIGKILL on: nobody can be faster than that.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::events::Events;
use crate::harness::{Agent, Containerd, foreign};
use crate::raw::{self, Raw, until_start};
use crate::set::{Set, sleeper};
use crate::table::Table;

/// Samples of each side.
const SAMPLES: usize = 15;
/// For what still happens after a start or an end.
const SETTLE: Duration = Duration::from_millis(700);

/// One side's samples.
#[derive(Default)]
struct Side {
    start: Vec<Duration>,
    restart: Vec<Duration>,
    restart_at_once: Vec<Duration>,
}

/// Adds the ratios to the table.
pub fn measure(containerd: &Arc<Containerd>, table: &mut Table) {
    let agent = Agent::started(containerd, "latency");
    agent.ready();
    let events = Events::subscribe(containerd);
    let mut raw = raw::connect(containerd);
    for (network, pod) in [
        ("host network", &["hostNetwork: true"][..]),
        ("pod network", &[]),
    ] {
        let (mut of_agent, mut of_raw) = (Side::default(), Side::default());
        // The first of each warms caches and counts for neither.
        for sample in 0..=SAMPLES {
            let name = format!("{}-{sample}", network.replace(' ', "-"));
            let manifest = quick(&name, pod).yaml();
            sample_raw(containerd, &events, &mut raw, &name, &manifest, &mut of_raw);
            sample_agent(&agent, &events, &name, &manifest, &mut of_agent);
        }
        for side in [&mut of_agent, &mut of_raw] {
            side.start.remove(0);
            side.restart.remove(0);
        }
        of_raw.restart_at_once.remove(0);
        table.ratio(
            &format!("manifest to started, {network}"),
            &of_agent.start,
            &of_raw.start,
            1.15,
        );
        table.ratio(
            &format!("crash to restarted, {network}"),
            &of_agent.restart,
            &of_raw.restart,
            1.2,
        );
        table.ratio(
            &format!("the same, raw calls at the exit, {network}"),
            &of_agent.restart,
            &of_raw.restart_at_once,
            1.2,
        );
    }
}

/// A set whose container uses no processor time and ends at once when it is told to.
pub fn quick<'a>(name: &'a str, pod: &'a [&'a str]) -> Set<'a> {
    Set {
        script: "trap 'exit 0' TERM; sleep 1000000 & wait",
        pod,
        ..sleeper(name)
    }
}

fn sample_agent(agent: &Agent, events: &Events, name: &str, manifest: &str, side: &mut Side) {
    let file = format!("{name}.yaml");
    events.clear();
    let begin = SystemTime::now();
    agent.put(&file, manifest);
    let (took, pid) = until_start(events, begin, 2);
    side.start.push(took);
    thread::sleep(SETTLE);

    events.clear();
    let begin = SystemTime::now();
    crash(pid);
    let (took, _) = until_start(events, begin, 1);
    side.restart.push(took);
    thread::sleep(SETTLE);

    agent.remove(&file);
    agent.wait_empty();
}

fn sample_raw(
    containerd: &Containerd,
    events: &Events,
    raw: &mut Raw,
    name: &str,
    manifest: &str,
    side: &mut Side,
) {
    let pod = raw.prepare(name, manifest);
    events.clear();
    let begin = SystemTime::now();
    let sandbox = raw.run(&pod);
    let (took, pid) = until_start(events, begin, 2);
    side.start.push(took);
    thread::sleep(SETTLE);

    events.clear();
    crash(pid);
    events.exit();
    thread::sleep(SETTLE);
    let begin = SystemTime::now();
    raw.start(&pod, &sandbox, 1);
    let (took, pid) = until_start(events, begin, 1);
    side.restart.push(took);
    thread::sleep(SETTLE);

    events.clear();
    let begin = SystemTime::now();
    crash(pid);
    events.exit();
    raw.start(&pod, &sandbox, 2);
    let (took, _) = until_start(events, begin, 1);
    side.restart_at_once.push(took);
    thread::sleep(SETTLE);

    foreign::remove(containerd, &sandbox);
}

fn crash(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    kill(pid, Signal::SIGKILL).expect("kill the container's process");
}
