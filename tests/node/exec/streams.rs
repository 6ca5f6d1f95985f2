//! A command's streams: how much goes through, what waits, and what ends them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{agent, exec, feed, spawn, told};
use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};

/// What is open in the agent's process: files, sockets, pipes.
fn open_files(agent: &Agent) -> usize {
    let fds = format!("/proc/{}/fd", agent.pid());
    std::fs::read_dir(fds).expect("the agent runs").count()
}

fn wait_open_files(agent: &Agent, most: usize) {
    agent.wait_for(
        SOON,
        "the agent has closed the session",
        || match open_files(agent) {
            count if count <= most => Ok(()),
            count => Err(format!("{count} files are open, {most} before")),
        },
    );
}

/// The agent's memory that is not shared with files, in KiB.
fn anonymous(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid()));
    let status = status.expect("the agent runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).expect("a number")
}

pub(super) fn input_ends(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-input");
    let mut cat = exec(&agent, &["-i", "ds/box", "--", "cat"]);
    let output = feed(&mut cat, b"hi\n");
    assert_eq!(told(&output), (Some(0), "hi\n".to_owned(), String::new()));

    // Output goes on after the input's end.
    let script = "cat >/dev/null; sleep 0.3; echo after";
    let mut after = exec(&agent, &["-i", "ds/box", "--", "sh", "-c", script]);
    let output = feed(&mut after, b"x");
    assert_eq!(
        told(&output),
        (Some(0), "after\n".to_owned(), String::new())
    );

    // A command that does not want its input holds nobody up. More than a pipe takes would:
    // containerd 1.6 waits until all it has read is taken, also when the command has ended.
    let script = "sleep 0.3; head -c 3000000 /dev/zero; exit 4";
    let mut deaf = exec(&agent, &["-i", "ds/box", "--", "sh", "-c", script]);
    let output = feed(&mut deaf, &[b'y'; 60_000]);
    let told = (output.status.code(), output.stdout.len());
    assert_eq!(told, (Some(4), 3_000_000));

    // Both directions at once, more than any buffer holds.
    let much: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut cat = exec(&agent, &["-i", "ds/box", "--", "cat"]);
    let output = feed(&mut cat, &much);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == much, "{} bytes", output.stdout.len());
}

pub(super) fn much_output(containerd: &Arc<Containerd>) {
    const LINES: u32 = 2_800_000;
    let agent = agent(containerd, "exec-much");
    let start = Instant::now();
    let last = LINES.to_string();
    let output = exec(&agent, &["ds/box", "--", "seq", "1", &last]).output();
    let output = output.expect("setlet exec");
    println!("{} bytes in {:?}", output.stdout.len(), start.elapsed());
    assert!(output.stdout.len() > 20_000_000, "{}", output.stdout.len());
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines().map(str::parse).zip(1..=LINES);
    assert_eq!(lines.find(|(found, want)| found != &Ok(*want)), None);
    assert_eq!(text.lines().count(), LINES as usize);

    // Nobody reads: the command waits, and the agent does not grow.
    let (files, before) = (open_files(&agent), anonymous(&agent));
    let mut endless = spawn(&mut exec(&agent, &["ds/box", "--", "yes"]));
    thread::sleep(Duration::from_secs(3));
    let after = anonymous(&agent);
    println!("{before} KiB before, {after} KiB while a command writes without end");
    assert!(
        after < before + 2048,
        "{before} KiB before, {after} KiB after"
    );
    endless.kill().expect("kill setlet exec");
    endless.wait().expect("wait for setlet exec");
    wait_open_files(&agent, files);
}

pub(super) fn a_client_that_goes(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-gone");
    let files = open_files(&agent);
    let runs = |program: &str| {
        let words = ["ds/box", "--", "pidof", program];
        exec(&agent, &words)
            .output()
            .expect("setlet exec")
            .status
            .success()
    };
    let mut cat = spawn(exec(&agent, &["-i", "ds/box", "--", "cat"]).stdin(Stdio::piped()));
    let endless = "while :; do echo x; sleep 0.1; done";
    let mut loops = spawn(&mut exec(&agent, &["ds/box", "--", "sh", "-c", endless]));
    let deaf = ["-i", "ds/box", "--", "sleep", "12345"];
    let yes = spawn(Command::new("yes").stdout(Stdio::piped()));
    let (mut yes, mut fed) = (yes, None);
    if let Some(stream) = yes.stdout.take() {
        fed = Some(spawn(exec(&agent, &deaf).stdin(stream)));
    }
    agent.wait_for(SOON, "cat runs", || {
        if runs("cat") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    thread::sleep(Duration::from_millis(500));
    assert!(open_files(&agent) > files, "{} files", open_files(&agent));
    for child in [&mut cat, &mut loops].into_iter().chain(&mut fed) {
        child.kill().expect("kill setlet exec");
        child.wait().expect("wait for setlet exec");
    }
    // It has lost its reader.
    yes.wait().expect("wait for yes");
    agent.wait_for(SOON, "cat has seen the end of its input", || {
        if runs("cat") {
            Err("it runs".to_owned())
        } else {
            Ok(())
        }
    });
    wait_open_files(&agent, files);
}

pub(super) fn an_agent_that_ends(containerd: &Arc<Containerd>) {
    let mut agent = agent(containerd, "exec-end");
    let script = "echo up; sleep 1000";
    let mut child =
        spawn(exec(&agent, &["-i", "ds/box", "--", "sh", "-c", script]).stdin(Stdio::piped()));
    let mut up = [0; 3];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut up).expect("output");
    let (status, time) = agent.term();
    assert!(
        status.success() && time < Duration::from_secs(1),
        "{status}, {time:?}"
    );
    let (code, _, stderr) = told(&child.wait_with_output().expect("setlet exec"));
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        "setlet: the agent stops; the command may go on without its streams\n"
    );
    agent.start();
    agent.ready();
    agent.wait_for(SOON, "commands run again", || {
        let output = exec(&agent, &["ds/box", "--", "echo", "again"]).output();
        match told(&output.expect("setlet exec")) {
            (Some(0), stdout, _) if stdout == "again\n" => Ok(()),
            (.., stderr) => Err(stderr),
        }
    });
}
