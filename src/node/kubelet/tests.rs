//! Kubelets by their command lines, in a procfs of the test's own, and as real processes.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Child;

use super::*;

fn command(line: &str) -> Option<Command> {
    let arguments: Vec<String> = line.split('|').map(str::to_owned).collect();
    Command::of(&arguments)
}

/// Whether a command line's kubelet, with this configuration, uses the runtime at an endpoint.
fn told(line: &str, config: Result<&str, &str>, ours: &str) -> Uses {
    let read = |_: &str| config.map(str::to_owned).map_err(str::to_owned);
    let command = command(line).expect("a kubelet");
    uses(&command, Place::Here, ours, &read)
}

fn names(line: &str, config: &str, endpoint: &str) -> bool {
    told(line, Ok(config), endpoint) == Uses::Yes(format!("uses {endpoint}"))
}

#[test]
fn a_kubelet_is_told_by_its_program() {
    assert!(names("/usr/bin/kubelet", "", DEFAULT));
    assert_eq!(command("vi|kubelet.md"), None);
    assert_eq!(command("/usr/bin/kubelet-wrapper"), None);
    let k3s = "unix:///run/k3s/containerd/containerd.sock";
    assert!(names("/usr/local/bin/k3s server", "", k3s));
    assert_eq!(command("/usr/local/bin/k3s|kubectl|get"), None);
}

#[test]
fn its_runtime_is_told_by_flag_or_configuration() {
    let flag = "kubelet|--container-runtime-endpoint=unix:///x.sock";
    assert!(names(flag, "", "unix:///x.sock"));
    assert_eq!(told(flag, Ok(""), DEFAULT), Uses::No);
    let apart = "kubelet|--container-runtime-endpoint|/y.sock|--v=2";
    assert!(names(apart, "", "/y.sock"));
    let config = "containerRuntimeEndpoint: unix:///z.sock\nother: {a: [b]}\n";
    assert!(names("kubelet|--config=/c", config, "unix:///z.sock"));
    assert!(names("kubelet|--config=/c", "{}", DEFAULT));
    assert!(names("kubelet|--config-dir=/d", "", DEFAULT));
    let unread = told("kubelet|--config=/c", Err("is no regular file"), DEFAULT);
    let why = "its configuration /c is no regular file".to_owned();
    assert_eq!(unread, Uses::Unknown(why));
    assert!(matches!(
        told("kubelet|--config=/c", Ok("a: ["), DEFAULT),
        Uses::Unknown(_)
    ));
    let other = Uses::Yes("uses unix:///var/run/x.sock".to_owned());
    let spelled = "kubelet|--container-runtime-endpoint=unix:///var/run/x.sock";
    assert_eq!(told(spelled, Ok(""), "unix:///run/x.sock"), other);
}

#[test]
fn only_one_that_uses_the_runtime_is_in_the_way() {
    let kubelet = |uses_ours| Kubelet { pid: 7, uses_ours };
    let all = [
        kubelet(Uses::No),
        kubelet(Uses::Unknown("it hides".to_owned())),
    ];
    assert_eq!(conflict(&all), None);
    let doubts = doubts(&all);
    assert_eq!(doubts.len(), 1);
    assert!(
        doubts[0]
            .message
            .contains("(pid 7) runs on this machine, and it hides")
    );
    let why = conflict(&[kubelet(Uses::Yes("uses /x".to_owned()))]).expect("in the way");
    assert!(
        why.starts_with("a kubelet (pid 7) uses /x, as this agent would; "),
        "{why}"
    );
}

/// A process in a procfs of the test's own.
fn pretend(proc: &Path, pid: &str, files: &[(&str, &str)], namespaces: &[(&str, &str)]) {
    let directory = proc.join(pid);
    fs::create_dir_all(directory.join("ns")).expect("a directory");
    let mut all = BTreeMap::from([
        ("cmdline", "/usr/bin/kubelet\0--v=2\0"),
        ("status", "Name:\tkubelet\nUid:\t0\t0\t0\t0\n"),
        ("cgroup", "0::/system.slice/kubelet.service\n"),
    ]);
    all.extend(files.iter().copied());
    for (name, text) in all {
        #[expect(clippy::disallowed_methods, reason = "a test writes files as it likes")]
        fs::write(directory.join(name), text).expect("written");
    }
    let mut links = BTreeMap::from([("user", "user:[1]"), ("pid", "pid:[2]"), ("mnt", "mnt:[3]")]);
    links.extend(namespaces.iter().copied());
    for (kind, to) in links {
        symlink(to, directory.join("ns").join(kind)).expect("a link");
    }
    symlink("/", directory.join("root")).expect("a link");
}

#[test]
fn only_roots_kubelets_outside_containers_count() {
    let directory = tempfile::tempdir().expect("a directory");
    let proc = directory.path();
    pretend(proc, "self", &[], &[]);
    pretend(proc, "7", &[], &[]);
    pretend(proc, "8", &[("cmdline", "bash\0")], &[]);
    pretend(proc, "9", &[("status", "Uid:\t1000\t0\t0\t0\n")], &[]);
    pretend(proc, "10", &[("status", "Uid:\t0\t1000\t0\t0\n")], &[]);
    pretend(proc, "11", &[], &[("user", "user:[9]")]);
    pretend(proc, "12", &[], &[("pid", "pid:[9]"), ("mnt", "mnt:[9]")]);
    let id = "0123456789abcdef".repeat(4);
    for (pid, cgroup) in [
        ("13", format!("0::/system.slice/docker-{id}.scope\n")),
        (
            "14",
            format!("4:memory:/setlet/besteffort/pod1/{id}\n0::/\n"),
        ),
        (
            "15",
            "0::/kubepods.slice/kubepods-besteffort.slice\n".to_owned(),
        ),
    ] {
        pretend(proc, pid, &[("cgroup", &cgroup)], &[]);
    }
    pretend(proc, "16", &[], &[("mnt", "mnt:[9]")]);
    let mut found = find_in(proc, "unix:///nowhere/x.sock").expect("a list");
    found.sort_by_key(|kubelet| kubelet.pid);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].pid, &found[0].uses_ours), (7, &Uses::No));
    assert!(matches!(
        (found[1].pid, &found[1].uses_ours),
        (16, Uses::Unknown(_))
    ));
    let found = find_in(proc, DEFAULT).expect("a list");
    assert!(conflict(&found).expect("in the way").contains("pid 7"));
}

/// A harmless program of that name, which ends with the test.
struct Program(Child);

impl Program {
    fn start(uid: u32, arguments: &[&str]) -> Self {
        // A shell of another name, whose arguments are shown as they are.
        let child = std::process::Command::new("/bin/sh")
            .arg0("/usr/bin/kubelet")
            .args(["-c", "read -r end"])
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .uid(uid)
            .spawn();
        Self(child.expect("started"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn real_processes_are_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("containerd.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let endpoint = format!("unix://{}", path.display());
    let flag = format!("--container-runtime-endpoint={endpoint}");
    let of = |program: &Program| {
        let found = find(&endpoint).expect("a list");
        let found = found.into_iter().find(|k| k.pid == program.0.id());
        found.map(|kubelet| kubelet.uses_ours)
    };
    let nobody = Program::start(65534, &[&flag]);
    assert_eq!(of(&nobody), None, "another user's");
    let told = Program::start(0, &[&flag]);
    assert!(
        matches!(of(&told), Some(Uses::Yes(_))),
        "root's, and told to"
    );
    // A configuration that would never end, and one that is not there.
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a fifo");
    for config in [&fifo, Path::new("/dev/zero"), Path::new("/nowhere")] {
        let config = format!("--config={}", config.display());
        let program = Program::start(0, &[&config]);
        assert!(matches!(of(&program), Some(Uses::Unknown(_))), "{config}");
    }
    // This process, were it called so, is known by its connection whatever it was told.
    let _client = UnixStream::connect(&path).expect("connected");
    let _server = listener.accept().expect("accepted");
    let clients = sockets::clients(&path).expect("told");
    assert!(sockets::has_one(Path::new("/proc/self"), &clients));
}
