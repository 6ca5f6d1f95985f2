//! `kubectl exec` against the agent's socket, through a port on the loopback address.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::{agent, exec, feed, told};
use crate::harness::{Agent, Containerd};

/// Names a kubectl of version 1.31 or later, with which one more trial is made.
pub(super) const KUBECTL: &str = "SETLET_TEST_KUBECTL";

/// Passes connections to a port on the loopback address on to the agent's socket.
fn forward(agent: &Agent) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let socket = agent.socket();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = UnixStream::connect(&socket) else {
                return;
            };
            let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            thread::spawn(move || {
                let (mut from, mut to) = (from_client, to_server);
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(std::net::Shutdown::Write).ok();
            });
            thread::spawn(move || {
                let (mut from, mut to) = (server, client);
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(std::net::Shutdown::Both).ok();
            });
        }
    });
    port
}

pub(super) fn kubectl(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-kubectl");
    let server = format!("--server=http://127.0.0.1:{}", forward(&agent));
    let program = std::env::var_os(KUBECTL).expect("it was there");
    let pod = agent.running_of("box")[0].pod().to_owned();
    let kubectl = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .arg(&server)
            .args(["--namespace", "default", "exec"])
            .args(words)
            .env("HOME", agent.dir())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let script = "echo out; echo err >&2; exit 7";
    let words = [pod.as_str(), "--", "sh", "-c", script];
    let (code, stdout, stderr) = told(&kubectl(&words).output().expect("kubectl"));
    assert_eq!((code, stdout.as_str()), (Some(7), "out\n"), "{stderr}");
    assert_eq!(stderr, "err\ncommand terminated with exit code 7\n");
    let ours = told(&exec(&agent, &words).output().expect("setlet exec"));
    assert_eq!(ours, (code, stdout, stderr));

    let much: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let output = feed(&mut kubectl(&["-i", &pod, "--", "cat"]), &much);
    assert!(
        output.status.success() && output.stdout == much,
        "{:?}",
        told(&output).2
    );

    let words = [pod.as_str(), "--", "no-such-command"];
    let (code, _, stderr) = told(&kubectl(&words).output().expect("kubectl"));
    println!("kubectl: {code:?} {stderr}");
    let ours = told(&exec(&agent, &words).output().expect("setlet exec")).2;
    let said = |text: &str| {
        text.split_once("error executing")
            .map(|(_, rest)| rest.to_owned())
    };
    // Each try has an id of its own in its text.
    assert!(
        said(&stderr).is_some() && said(&ours).is_some(),
        "{stderr}{ours}"
    );
    assert!(
        stderr.contains("executable file not found in $PATH"),
        "{stderr}"
    );

    let words = ["no-such-pod", "--", "true"];
    let (code, _, stderr) = told(&kubectl(&words).output().expect("kubectl"));
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        "Error from server (NotFound): pods \"no-such-pod\" not found\n"
    );

    // kubectl before 1.31 asks for SPDY at once.
    let mut old = kubectl(&[&pod, "--", "true"]);
    old.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
    let (code, _, stderr) = told(&old.output().expect("kubectl"));
    assert!(
        code == Some(1) && stderr.contains("over WebSocket only"),
        "{stderr}"
    );
}
