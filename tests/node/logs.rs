//! Container logs: rotation as kubelet's container log manager does it, and `setlet logs` over
//! rotated and compressed files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::agent::{SETLET, SOON};
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "logs::nothing_is_lost_or_doubled",
        nothing_is_lost_or_doubled,
    );
    suite.together("logs::max_files_are_kept", max_files_are_kept);
    suite.together("logs::the_container_before", the_container_before);
    suite.alone("logs::a_fast_writer", a_fast_writer);
}

/// An agent that rotates logs at a size.
pub fn agent(containerd: &Arc<Containerd>, node: &str, max_size: &str, max_files: u32) -> Agent {
    let mut agent = Agent::new(containerd, node);
    agent.config["containerLog"] = json!({"maxSize": max_size, "maxFiles": max_files});
    agent.config["crashLoopBackOff"] = json!({"initial": "1s"});
    agent.start();
    agent
}

/// Counts in lines of 100 bytes, `step` of them every 50 ms, up to `end`.
pub fn count(end: u32, step: u32) -> String {
    format!(
        "i=0; while [ $i -lt {end} ]; do i=$((i+1)); printf '%08d %090d\\n' $i 0; \
         [ $((i % {step})) -ne 0 ] || sleep 0.05; done; "
    )
}

/// What follows it: the end is told, and the container stays.
pub const REST: &str = "echo end; trap 'exit 0' TERM; while :; do sleep 1; done";

/// What [`count`] printed, without the padding.
pub fn numbers(text: &str) -> Vec<u32> {
    let number = |line: &str| line.split(' ').next().and_then(|n| n.parse().ok());
    text.lines().filter_map(number).collect()
}

/// The numbers from one to another that a log must have; says where it differs.
pub fn assert_numbers(text: &str, first: u32, last: u32) {
    let found = numbers(text);
    let wrong = (first..=last)
        .zip(&found)
        .find(|(want, have)| want != *have);
    assert_eq!(wrong, None, "the first difference");
    assert_eq!(found.len(), (first..=last).count());
}

/// The directory of the logs of a set's only container.
pub fn directory(agent: &Agent, set: &str) -> PathBuf {
    let prefix = format!("default_{set}-");
    let pods = std::fs::read_dir(agent.dir().join("log/pods")).expect("the logs' directory");
    let mut pods = pods.map(|pod| pod.expect("a pod's directory"));
    let pod = pods.find(|pod| pod.file_name().to_string_lossy().starts_with(&prefix));
    pod.expect("the pod's logs").path().join("main")
}

/// The names and sizes of a container's log files.
pub fn files(directory: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let size = entry.metadata().ok()?.len();
            Some((entry.file_name().to_string_lossy().into_owned(), size))
        })
        .collect();
    files.sort();
    files
}

/// Waits until one of the last lines is this.
pub fn wait_log(agent: &Agent, set: &str, what: &str) {
    agent.wait_for(SOON * 2, &format!("{set} logs {what:?}"), || {
        let text = agent.setlet(&["logs", &format!("ds/{set}"), "--tail", "3"]);
        if text.lines().any(|line| line == what) {
            Ok(())
        } else {
            Err(format!("{text:?}"))
        }
    });
}

/// A counter of `setlet metrics`.
pub fn counted(agent: &Agent, name: &str) -> u64 {
    let (_, text) = agent.http("/metrics").expect("metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn nothing_is_lost_or_doubled(containerd: &Arc<Containerd>) {
    const LINES: u32 = 6000;
    let agent = agent(containerd, "logs-whole", "24Ki", 200);
    let script = format!("sleep 1; {}{REST}", count(LINES, 100));
    let set = Set {
        script: &script,
        ..sleeper("whole")
    };
    agent.put("whole.yaml", &set.yaml());
    agent.wait_running("whole", 1);
    agent.wait_for(SOON, "there is a log", || {
        let answer = agent.try_setlet(&["logs", "ds/whole"]);
        if answer.code == Some(0) {
            Ok(())
        } else {
            Err(answer.stderr)
        }
    });
    let follower = Command::new(SETLET)
        .args(["logs", "-f", "ds/whole", "--socket"])
        .arg(agent.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("setlet logs -f");
    // Whatever is read while the log is rotated is a beginning without a gap.
    let start = Instant::now();
    loop {
        let found = numbers(&agent.setlet(&["logs", "ds/whole"]));
        let whole: Vec<u32> = (1..=u32::try_from(found.len()).expect("few")).collect();
        assert!(found == whole, "a gap after {:?}", gap(&found));
        if found.len() == LINES as usize {
            break;
        }
        assert!(start.elapsed() < SOON * 3, "{} lines", found.len());
        thread::sleep(Duration::from_millis(100));
    }
    let directory = directory(&agent, "whole");
    let rotated = files(&directory).len() - 1;
    assert!(rotated >= 5, "{:?}", files(&directory));

    agent.wait_for(SOON * 4, "all but the newest are compressed", || {
        let files = files(&directory);
        let gzip = files.iter().filter(|(name, _)| name.ends_with(".gz"));
        // The log itself and the newest rotated file are not.
        if gzip.count() + 2 == files.len() {
            Ok(())
        } else {
            Err(format!("{files:?}"))
        }
    });
    assert_numbers(&agent.setlet(&["logs", "ds/whole"]), 1, LINES);
    for tail in [10, 1000, 4000, LINES] {
        let text = agent.setlet(&["logs", "ds/whole", "--tail", &(tail + 1).to_string()]);
        assert_numbers(&text, LINES - tail + 1, LINES);
    }
    since(&agent, LINES);

    // The pod goes with its logs, and then the follower ends.
    agent.remove("whole.yaml");
    let followed = follower.wait_with_output().expect("setlet logs -f");
    assert_numbers(&String::from_utf8_lossy(&followed.stdout), 1, LINES);
    agent.wait_empty();
    agent.wait_for(SOON, "the logs are gone", || {
        if directory.exists() {
            Err(format!("{:?}", files(&directory)))
        } else {
            Ok(())
        }
    });
}

pub fn gap(found: &[u32]) -> Option<&[u32]> {
    found.windows(2).find(|pair| pair[1] != pair[0] + 1)
}

/// `--since-time` at the time of a line in the middle gives that line and those after it.
fn since(agent: &Agent, lines: u32) {
    let text = agent.setlet(&["logs", "ds/whole", "--timestamps"]);
    let middle = text.lines().nth(lines as usize / 2).expect("a line");
    let (time, line) = middle.split_once(' ').expect("a time");
    let text = agent.setlet(&["logs", "ds/whole", "--since-time", time]);
    assert_numbers(&text, numbers(line)[0], lines);
}

fn max_files_are_kept(containerd: &Arc<Containerd>) {
    let mut agent = agent(containerd, "logs-kept", "16Ki", 4);
    let script = format!("{}{REST}", count(1_000_000, 100));
    let set = Set {
        script: &script,
        ..sleeper("kept")
    };
    agent.put("kept.yaml", &set.yaml());
    agent.wait_running("kept", 1);
    let rotations = "setlet_log_rotations_total{result=\"done\"}";
    for (max_files, beyond) in [(4, 20), (2, 30)] {
        agent.config["containerLog"]["maxFiles"] = json!(max_files);
        agent.reload();
        agent.wait_for(SOON * 2, "many rotations", || {
            match counted(&agent, rotations) {
                count if count >= beyond => Ok(()),
                count => Err(format!("{count}")),
            }
        });
        let directory = directory(&agent, "kept");
        agent.wait_for(SOON, "the new limit is in force", || {
            let files = files(&directory);
            if files.len() <= max_files {
                Ok(())
            } else {
                Err(format!("{files:?}"))
            }
        });
        for _ in 0..50 {
            let files = files(&directory);
            // Between rename and reopening there is one without the log itself.
            assert!(files.len() <= max_files, "{files:?}");
            let bytes: u64 = files.iter().map(|(_, size)| size).sum();
            assert!(bytes < 1_000_000, "{files:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(gap(&numbers(&agent.setlet(&["logs", "ds/kept"]))), None);
}

fn the_container_before(containerd: &Arc<Containerd>) {
    const LINES: u32 = 1000;
    let agent = agent(containerd, "logs-before", "16Ki", 50);
    let script = format!("{}sleep 1.5; exit 1", count(LINES, 100));
    let set = Set {
        script: &script,
        ..sleeper("before")
    };
    agent.put("before.yaml", &set.yaml());
    agent.wait_for(SOON, "the first container has ended", || {
        let answer = agent.try_setlet(&["logs", "-p", "ds/before"]);
        if answer.code == Some(0) && numbers(&answer.stdout).len() == LINES as usize {
            Ok(())
        } else {
            Err(format!("{:.300}", answer.stderr))
        }
    });
    assert_numbers(&agent.setlet(&["logs", "-p", "ds/before"]), 1, LINES);
    let directory = directory(&agent, "before");
    let of_first = |files: &[(String, u64)]| {
        let first = files.iter().filter(|(name, _)| name.starts_with("0.log"));
        first.count()
    };
    assert!(of_first(&files(&directory)) > 1, "{:?}", files(&directory));
    agent.wait_for(SOON * 2, "the first container's logs are gone", || {
        let files = files(&directory);
        if of_first(&files) == 0 && !files.is_empty() {
            Ok(())
        } else {
            Err(format!("{files:?}"))
        }
    });
}

fn a_fast_writer() {
    const MIB: u64 = 1 << 20;
    let containerd = Arc::new(Containerd::launch());
    let agent = Agent::started(&containerd, "logs-fast");
    let line = "x".repeat(1000);
    let script = format!("sleep 1; {{ timeout 8 yes {line}; }} 2>/dev/null; echo; {REST}");
    let set = Set {
        script: &script,
        ..sleeper("fast")
    };
    agent.put("fast.yaml", &set.yaml());
    agent.wait_running("fast", 1);
    let directory = directory(&agent, "fast");
    let (mut most, mut slowest) = (0, Duration::ZERO);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let bytes: u64 = files(&directory).iter().map(|(_, size)| size).sum();
        most = most.max(bytes);
        let asked = Instant::now();
        agent.http("/readyz").expect("an answer");
        slowest = slowest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    let rotations = counted(&agent, "setlet_log_rotations_total{result=\"done\"}");
    let compressions = counted(&agent, "setlet_log_compressions_total{result=\"done\"}");
    println!(
        "{rotations} rotations of 10 MiB, {} MiB at most, {compressions} compressions, \
         slowest answer {slowest:?}, {} ms of processor time",
        most / MIB,
        processor_time(agent.pid()).as_millis()
    );
    wait_log(&agent, "fast", "end");
    assert!(rotations >= 5, "{rotations} rotations");
    // Five files of 10 MiB, each a little late, and the first by up to a second.
    assert!(most < 300 * MIB, "{} MiB", most / MIB);
    assert!(files(&directory).len() <= 5, "{:?}", files(&directory));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_eq!(
        counted(&agent, "setlet_log_rotations_total{result=\"failed\"}"),
        0
    );
}

/// What a process has used of the processor.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the agent runs");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|n| n.parse().unwrap_or(0))
        .sum::<u64>();
    Duration::from_millis(ticks * 10)
}
