//! A kubelet on the same container runtime removes every pod it does not know, ours among them;
//! the agent must not start beside one.
//!
//! The decision is pure, over the processes there are. A kubelet whose runtime cannot be told
//! counts as one on ours.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;

/// The runtime of a kubelet that says nothing else.
const DEFAULT: &str = "unix:///run/containerd/containerd.sock";

/// Programs that are, or contain, a kubelet: its name, a word its arguments must have, and the
/// runtime it uses unless told otherwise.
const PROGRAMS: &[(&str, Option<&str>, &str)] = &[
    ("kubelet", None, DEFAULT),
    (
        "kubelite",
        None,
        "unix:///var/snap/microk8s/common/run/containerd.sock",
    ),
    (
        "k3s",
        Some("server"),
        "unix:///run/k3s/containerd/containerd.sock",
    ),
    (
        "k3s",
        Some("agent"),
        "unix:///run/k3s/containerd/containerd.sock",
    ),
    (
        "k3s-server",
        None,
        "unix:///run/k3s/containerd/containerd.sock",
    ),
    (
        "k3s-agent",
        None,
        "unix:///run/k3s/containerd/containerd.sock",
    ),
];

/// A running kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubelet {
    /// Its process.
    pub pid: u32,
    /// Its runtime's endpoint as it was told; `None` where its configuration cannot be read.
    pub endpoint: Option<String>,
    /// Whether that is the very socket the agent uses; `None` where it could not be looked at.
    pub same_socket: Option<bool>,
}

/// Why the agent must not start with this runtime, naming the way out; `None` where it may.
#[must_use]
pub fn conflict(kubelets: &[Kubelet], endpoint: &str) -> Option<String> {
    let found = kubelets.iter().find(|kubelet| {
        kubelet.same_socket.unwrap_or_else(|| {
            let theirs = kubelet.endpoint.as_deref();
            theirs.is_none_or(|theirs| socket(theirs) == socket(endpoint))
        })
    })?;
    let which = match &found.endpoint {
        Some(endpoint) => format!("uses {endpoint}, as this agent would"),
        None => "may use the same container runtime: its configuration cannot be read".to_owned(),
    };
    Some(format!(
        "a kubelet (pid {}) {which}; it removes every pod it does not know, so both cannot share a \
         runtime. Give setlet a containerd of its own (the unit setlet-containerd.service) and set \
         containerRuntimeEndpoint to its socket, or stop the kubelet",
        found.pid
    ))
}

/// Every kubelet that runs on this machine. `endpoint` is the agent's own runtime.
///
/// # Errors
///
/// The processes cannot be listed.
pub fn find(endpoint: &str) -> Result<Vec<Kubelet>, Error> {
    find_in(Path::new("/proc"), endpoint).map_err(|source| Error::Processes {
        path: "/proc".into(),
        source,
    })
}

fn find_in(proc: &Path, endpoint: &str) -> io::Result<Vec<Kubelet>> {
    let mut kubelets = Vec::new();
    for entry in fs::read_dir(proc)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that ended meanwhile has no command line, nor has a thread of the kernel.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let arguments: Vec<String> = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        let root = entry.path().join("root");
        if let Some(theirs) = endpoint_of(&arguments, &|path| read_in(&root, path)) {
            kubelets.push(Kubelet {
                pid,
                same_socket: theirs.as_deref().and_then(|e| is_same(&root, e, endpoint)),
                endpoint: theirs,
            });
        }
    }
    Ok(kubelets)
}

/// The runtime endpoint of a command line: `None` where it is no kubelet's, `Some(None)` where it
/// is one whose configuration cannot be read.
fn endpoint_of(
    arguments: &[String],
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Option<String>> {
    let (program, rest) = arguments.split_first()?;
    // k3s shows itself as "/usr/local/bin/k3s server".
    let mut words = program
        .split_whitespace()
        .chain(rest.iter().map(String::as_str));
    let name = Path::new(words.next()?).file_name()?.to_str()?;
    let words: Vec<&str> = words.collect();
    let (_, _, default) = PROGRAMS.iter().find(|(program, argument, _)| {
        *program == name && argument.is_none_or(|argument| words.contains(&argument))
    })?;
    let flag = |name: &str| {
        let at = words.iter().position(|word| {
            let word = word
                .strip_prefix('-')
                .map(|word| word.trim_start_matches('-'));
            let rest = word.and_then(|word| word.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })?;
        match words[at].split_once('=') {
            Some((_, value)) => Some(value),
            None => words.get(at + 1).copied(),
        }
    };
    if let Some(endpoint) = flag("container-runtime-endpoint") {
        return Some(Some(endpoint.to_owned()));
    }
    let Some(file) = flag("config") else {
        return Some(Some((*default).to_owned()));
    };
    let Some(config) = read(file) else {
        return Some(None);
    };
    let config: Option<Value> = serde_yaml::from_str(&config).ok();
    Some(config.map(|config| {
        let endpoint = config
            .get("containerRuntimeEndpoint")
            .and_then(Value::as_str);
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        endpoint.unwrap_or(default).to_owned()
    }))
}

/// Reads a file as a process sees it.
fn read_in(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(in_root(root, Path::new(path))).ok()
}

fn in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether a process's socket is the agent's: a kubelet in a container has a filesystem, and a
/// runtime, of its own under the same name.
fn is_same(root: &Path, theirs: &str, ours: &str) -> Option<bool> {
    let id = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let theirs = id(&in_root(root, Path::new(&socket(theirs))))?;
    Some(theirs == id(Path::new(&socket(ours)))?)
}

/// An endpoint's path, however it is written.
fn socket(endpoint: &str) -> String {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    let path = path
        .strip_prefix("/var/run/")
        .map(|rest| format!("/run/{rest}"));
    path.unwrap_or_else(|| {
        endpoint
            .strip_prefix("unix://")
            .unwrap_or(endpoint)
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(line: &str, config: Option<&str>) -> Option<Option<String>> {
        let arguments: Vec<String> = line.split('|').map(str::to_owned).collect();
        endpoint_of(&arguments, &|_| config.map(str::to_owned))
    }

    fn known(endpoint: &str) -> Option<Option<String>> {
        Some(Some(endpoint.to_owned()))
    }

    #[test]
    fn a_kubelet_is_told_by_its_program() {
        assert_eq!(endpoint("/usr/bin/kubelet", None), known(DEFAULT));
        assert_eq!(endpoint("vi|kubelet.md", None), None);
        assert_eq!(endpoint("/usr/bin/kubelet-wrapper", None), None);
        let k3s = known("unix:///run/k3s/containerd/containerd.sock");
        assert_eq!(endpoint("/usr/local/bin/k3s server", None), k3s);
        assert_eq!(endpoint("/usr/local/bin/k3s|kubectl|get", None), None);
    }

    #[test]
    fn its_runtime_is_told_by_flag_or_configuration() {
        let flag = "kubelet|--container-runtime-endpoint=unix:///x.sock";
        assert_eq!(endpoint(flag, None), known("unix:///x.sock"));
        let apart = "kubelet|--container-runtime-endpoint|/y.sock|--v=2";
        assert_eq!(endpoint(apart, None), known("/y.sock"));
        let config = Some("containerRuntimeEndpoint: unix:///z.sock\n");
        assert_eq!(
            endpoint("kubelet|--config=/c", config),
            known("unix:///z.sock")
        );
        assert_eq!(endpoint("kubelet|--config=/c", Some("{}")), known(DEFAULT));
        assert_eq!(endpoint("kubelet|--config=/c", None), Some(None));
        let plugin = "kubelet|--config-dir=/d";
        assert_eq!(endpoint(plugin, None), known(DEFAULT));
    }

    #[test]
    fn one_on_the_same_runtime_is_a_conflict() {
        let kubelet = |endpoint: Option<&str>, same_socket| Kubelet {
            pid: 7,
            endpoint: endpoint.map(str::to_owned),
            same_socket,
        };
        let ours = "unix:///run/containerd/containerd.sock";
        let conflicts = |kubelet: Kubelet| conflict(&[kubelet], ours).is_some();
        assert!(conflicts(kubelet(
            Some("unix:///var/run/containerd/containerd.sock"),
            None
        )));
        assert!(conflicts(kubelet(Some("unix:///other.sock"), Some(true))));
        assert!(conflicts(kubelet(None, None)));
        assert!(
            !conflicts(kubelet(Some(ours), Some(false))),
            "in a container"
        );
        assert!(!conflicts(kubelet(Some("unix:///other.sock"), None)));
        assert_eq!(conflict(&[], ours), None);
    }

    #[test]
    fn processes_are_found_in_proc() {
        let proc = tempfile::tempdir().expect("a directory");
        for (pid, line) in [
            ("7", "/usr/bin/kubelet\0--v=2\0"),
            ("8", "bash\0"),
            ("x", "kubelet"),
        ] {
            use std::io::Write;
            fs::create_dir(proc.path().join(pid)).expect("a directory");
            let mut file = fs::File::create(proc.path().join(pid).join("cmdline")).expect("a file");
            file.write_all(line.as_bytes()).expect("written");
        }
        let found = find_in(proc.path(), DEFAULT).expect("a list");
        let want = Kubelet {
            pid: 7,
            endpoint: Some(DEFAULT.to_owned()),
            same_socket: None,
        };
        assert_eq!(found, [want]);
    }
}
