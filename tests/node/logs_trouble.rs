//! Logs in trouble: a rotation that is cut short, a runtime that refuses it, a disk that is full.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::agent::SOON;
use crate::harness::proxy::Proxy;
use crate::harness::{Agent, Containerd};
use crate::logs::{
    REST, agent, assert_numbers, count, counted, directory, files, gap, numbers, wait_log,
};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("logs::a_rotation_cut_short", a_rotation_cut_short);
    suite.together("logs::a_rotation_refused", a_rotation_refused);
    suite.together("logs::a_full_disk", a_full_disk);
}

/// The runtime does not open a new file: the old one has its name back, and is written on.
fn a_rotation_refused(containerd: &Arc<Containerd>) {
    const LINES: u32 = 1500;
    let proxy = Proxy::start(containerd, "logs-refused");
    proxy.refuse(Some("ReopenContainerLog"));
    let mut agent = Agent::new(containerd, "logs-refused");
    agent.through(&proxy);
    agent.config["containerLog"] = json!({"maxSize": "16Ki", "maxFiles": 100});
    agent.start();
    let script = format!("{}{REST}", count(LINES, 10));
    let set = Set {
        script: &script,
        ..sleeper("refused")
    };
    agent.put("refused.yaml", &set.yaml());
    let before = agent.wait_running("refused", 1);
    let rotations = |result: &str| {
        counted(
            &agent,
            &format!("setlet_log_rotations_total{{result=\"{result}\"}}"),
        )
    };
    agent.wait_for(SOON, "a rotation has failed", || {
        match rotations("failed") {
            0 => Err("none has".to_owned()),
            _ => Ok(()),
        }
    });
    let directory = directory(&agent, "refused");
    let written = |files: &[(String, u64)]| match files {
        [(name, size)] if name == "0.log" => Ok(*size),
        other => Err(format!("{other:?}")),
    };
    let first = agent.wait_for(SOON, "the log has its name", || written(&files(&directory)));
    agent.wait_for(SOON, "the log grows", || {
        match written(&files(&directory))? {
            size if size > first.max(32 << 10) => Ok(()),
            size => Err(format!("{size} bytes")),
        }
    });
    assert_eq!(rotations("done"), 0);
    proxy.refuse(None);
    agent.wait_for(SOON * 2, "it is rotated after all", || {
        match rotations("done") {
            0 => Err(format!("{:?}", files(&directory))),
            _ => Ok(()),
        }
    });
    wait_log(&agent, "refused", "end");
    assert_numbers(&agent.setlet(&["logs", "ds/refused"]), 1, LINES);
    assert_eq!(agent.wait_running("refused", 1), before);
}

fn a_rotation_cut_short(containerd: &Arc<Containerd>) {
    let mut agent = agent(containerd, "logs-cut", "1Mi", 5);
    let script = format!("{}{REST}", count(400, 5));
    let set = Set {
        script: &script,
        ..sleeper("cut")
    };
    agent.put("cut.yaml", &set.yaml());
    let before = agent.wait_running("cut", 1);
    agent.kill9();
    let directory = directory(&agent, "cut");
    let log = directory.join("0.log");
    std::fs::rename(&log, directory.join("0.log.20260102-030405")).expect("rename the log");
    std::fs::write(directory.join("0.log.20260102-030404.tmp"), "half").expect("half a file");
    thread::sleep(Duration::from_millis(500));
    agent.start();
    agent.wait_for(SOON, "the log is there again", || {
        let files = files(&directory);
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        if names == ["0.log", "0.log.20260102-030405"] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    });
    wait_log(&agent, "cut", "end");
    assert_numbers(&agent.setlet(&["logs", "ds/cut"]), 1, 400);
    assert_eq!(agent.wait_running("cut", 1), before);
}

/// Unmounts when the trial ends.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let flags = nix::mount::MntFlags::MNT_DETACH;
        nix::mount::umount2(&self.0, flags).ok();
    }
}

fn a_full_disk(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "logs-full");
    let logs = agent.dir().join("log/pods");
    std::fs::create_dir_all(&logs).expect("the logs' directory");
    let no_flags = nix::mount::MsFlags::empty();
    nix::mount::mount(
        Some("tmpfs"),
        &logs,
        Some("tmpfs"),
        no_flags,
        Some("size=1m"),
    )
    .expect("a small disk");
    let _mounted = Mounted(logs);
    agent.config["containerLog"] = json!({"maxSize": "100Ki", "maxFiles": 100});
    agent.start();
    // More than there is room for, in the end.
    let script = format!("{}{REST}", count(20_000, 200));
    let set = Set {
        script: &script,
        ..sleeper("full")
    };
    agent.put("full.yaml", &set.yaml());
    agent.wait_running("full", 1);
    let failed = "setlet_log_compressions_total{result=\"failed\"}";
    agent.wait_for(SOON * 2, "a compression has failed", || {
        match counted(&agent, failed) {
            0 => Err(format!("{:?}", files(&directory(&agent, "full")))),
            _ => Ok(()),
        }
    });
    assert!(agent.log_tail().contains("No space left on device"));
    assert!(agent.running());
    let found = numbers(&agent.setlet(&["logs", "ds/full"]));
    assert_eq!(gap(&found[..1000]), None);
    agent.setlet(&["status"]);
    agent.remove("full.yaml");
    agent.wait_empty();
}
