//! `setlet exec` and `kubectl exec`: a command's streams, its terminal and its exit status, and what
//! ends them.

mod kubectl;
mod streams;
mod terminal;

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use crate::harness::agent::{SETLET, SOON};
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("exec::output_and_status", output_and_status);
    suite.together("exec::input_ends", streams::input_ends);
    suite.together("exec::a_terminal", terminal::a_terminal);
    suite.together("exec::what_cannot_be_run", what_cannot_be_run);
    suite.together("exec::much_output", streams::much_output);
    suite.together("exec::a_client_that_goes", streams::a_client_that_goes);
    suite.together("exec::an_agent_that_ends", streams::an_agent_that_ends);
    // Debian 12's own is too old.
    if std::env::var_os(kubectl::KUBECTL).is_some() {
        suite.together("exec::kubectl", kubectl::kubectl);
    }
}

/// An agent whose set `box` runs.
fn agent(containerd: &Arc<Containerd>, node: &str) -> Agent {
    let agent = Agent::started(containerd, node);
    agent.put("box.yaml", &sleeper("box").yaml());
    agent.wait_running("box", 1);
    agent.wait_for(SOON, "the view has it", || {
        let output = exec(&agent, &["ds/box", "--", "true"]).output();
        match told(&output.expect("setlet exec")) {
            (Some(0), ..) => Ok(()),
            (.., stderr) => Err(stderr),
        }
    });
    agent
}

/// `setlet exec` with these words.
fn exec(agent: &Agent, words: &[&str]) -> Command {
    let mut command = Command::new(SETLET);
    command
        .args(["exec", "--socket"])
        .arg(agent.socket())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn spawn(command: &mut Command) -> Child {
    let child = command.spawn();
    child.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command with an input, whole.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = spawn(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || {
            // Who does not want all of it has closed.
            stdin.write_all(input).ok();
        });
        child.wait_with_output().expect("setlet exec")
    })
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn output_and_status(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-status");
    let script = "echo out; echo err >&2; exit 7";
    let run = |words: &[&str]| told(&exec(&agent, words).output().expect("setlet exec"));
    let (code, stdout, stderr) = run(&["ds/box", "--", "sh", "-c", script]);
    assert_eq!((code, stdout.as_str()), (Some(7), "out\n"));
    assert_eq!(stderr, "err\ncommand terminated with exit code 7\n");
    let pod = agent.running_of("box")[0].pod().to_owned();
    for target in [
        &["-n", "default", pod.as_str()][..],
        &["daemonset/box"],
        &["box", "-c", "main"],
    ] {
        let words = [target, &["--", "printf", "%s|", "a b", "", "ü&?"]].concat();
        let expected = (Some(0), "a b||ü&?|".to_owned(), String::new());
        assert_eq!(run(&words), expected, "{target:?}");
    }
    let killed = run(&["ds/box", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.0, Some(137), "{killed:?}");
}

fn what_cannot_be_run(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-refused");
    let sidecar = "initContainers: [{name: side, image: 'docker.io/library/busybox:latest', \
                   imagePullPolicy: IfNotPresent, restartPolicy: Always, \
                   command: [sleep, '1000']}]";
    let crashing = Set {
        script: "exit 1",
        pod: &[sidecar],
        ..sleeper("crash")
    };
    agent.put("crash.yaml", &crashing.yaml());
    let run = |words: &[&str]| told(&exec(&agent, words).output().expect("setlet exec"));
    let (code, stdout, stderr) = run(&["ds/box", "--", "no-such-command"]);
    assert_eq!((code, stdout.as_str()), (Some(126), ""), "{stderr}");
    assert!(
        stderr.contains("executable file not found in $PATH"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let cases = [
        (
            &["pod/no", "--", "sh"][..],
            "setlet: there is no pod no in namespace default",
        ),
        (
            &["ds/no", "--", "sh"],
            "setlet: there is no pod and no set default/no",
        ),
        (
            &["ds/box", "-c", "no", "--", "sh"],
            "setlet: error from the agent (BadRequest): container no is not valid for pod",
        ),
    ];
    for (words, expected) in cases {
        let (code, _, stderr) = run(words);
        assert!(code == Some(1) && stderr.starts_with(expected), "{stderr}");
    }
    agent.wait_for(SOON, "the container that crashes is named", || {
        let (code, _, stderr) = run(&["ds/crash", "--", "sh"]);
        let defaulted = "Defaulted container \"main\" out of: main, side\n";
        let named = stderr.contains("is not running: CrashLoopBackOff");
        if code == Some(1) && stderr.starts_with(defaulted) && named {
            Ok(())
        } else {
            Err(stderr)
        }
    });
    let side = run(&["ds/crash", "-c", "side", "--", "echo", "here"]);
    assert_eq!(side, (Some(0), "here\n".to_owned(), String::new()));
    // The token in the streaming server's address is nobody's business.
    assert!(!agent.log_tail().contains("/exec/"), "{}", agent.log_tail());
}
