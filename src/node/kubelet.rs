//! A kubelet on the same container runtime removes every pod it does not know, ours among them;
//! the agent must not start beside one.
//!
//! Anybody can run something called kubelet, and any container may. So only what is root's and
//! outside every container counts ([`process`]), and it is in the way when it is connected to the
//! runtime's socket ([`sockets`]) or was told to use it. A kubelet whose runtime cannot be told keeps
//! nobody from starting; it is told of ([`doubts`]).

mod process;
mod sockets;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;

use super::Error;
use crate::model::Reason;
use process::{Place, Process};

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

/// A kubelet that runs on this machine, and what is known of its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubelet {
    /// Its process.
    pub pid: u32,
    /// Whether it uses the agent's runtime.
    pub uses_ours: Uses,
}

/// Whether a kubelet uses the agent's runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uses {
    /// It is connected to the runtime's socket, or told to be; which of them.
    Yes(String),
    /// It was told to use another.
    No,
    /// That cannot be told, and why.
    Unknown(String),
}

/// Why the agent must not start with this runtime, naming the way out; `None` where it may.
#[must_use]
pub fn conflict(kubelets: &[Kubelet]) -> Option<String> {
    kubelets.iter().find_map(|kubelet| {
        let Uses::Yes(how) = &kubelet.uses_ours else {
            return None;
        };
        Some(format!(
            "a kubelet (pid {}) {how}, as this agent would; it removes every pod it does not know, so \
             both cannot share a runtime. Give setlet a containerd of its own (the unit \
             setlet-containerd.service, and its socket as containerRuntimeEndpoint: copy \
             private-containerd.yaml from the examples to /etc/setlet/config.d), or stop the kubelet",
            kubelet.pid
        ))
    })
}

/// What should be known of kubelets beside which the agent starts all the same.
#[must_use]
pub fn doubts(kubelets: &[Kubelet]) -> Vec<Reason> {
    let doubts = kubelets.iter().filter_map(|kubelet| {
        let Uses::Unknown(why) = &kubelet.uses_ours else {
            return None;
        };
        let message = format!(
            "a kubelet (pid {}) runs on this machine, and {why}; if it uses the same runtime, it removes \
             this agent's pods: name its endpoint with --container-runtime-endpoint, or stop it",
            kubelet.pid
        );
        Some(Reason::new("KubeletFound", message))
    });
    doubts.collect()
}

/// Every kubelet that runs on this machine: programs of its name that are root's and in no container.
/// `endpoint` is the agent's own runtime.
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
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let directory = entry.path();
        let process = Process { proc, directory };
        let Some(command) = process.arguments().and_then(|a| Command::of(&a)) else {
            continue;
        };
        let place = process.place();
        if place == Place::Elsewhere {
            continue;
        }
        let uses_ours = match sockets::clients(Path::new(&socket(endpoint))) {
            Ok(clients) if sockets::has_one(&process.directory, &clients) => {
                Uses::Yes(format!("is connected to {endpoint}"))
            }
            // Before it connects, or where the kernel does not tell, by what it was told.
            _ => uses(&command, place, endpoint, &|path| process.config(path)),
        };
        kubelets.push(Kubelet { pid, uses_ours });
    }
    Ok(kubelets)
}

/// Whether a kubelet uses a runtime by what it was told. One with another view of the filesystem may
/// mean another file by the same name.
fn uses(
    command: &Command,
    place: Place,
    ours: &str,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Uses {
    if place == Place::Apart {
        let why = "it has a filesystem of its own, and is not connected to this agent's runtime";
        return Uses::Unknown(why.to_owned());
    }
    let theirs = match (&command.endpoint, &command.config) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, None) => command.default.to_owned(),
        (None, Some(file)) => match read(file).and_then(|text| configured(&text)) {
            Ok(endpoint) => endpoint.unwrap_or_else(|| command.default.to_owned()),
            Err(why) => return Uses::Unknown(format!("its configuration {file} {why}")),
        },
    };
    if is_same(&theirs, ours) {
        Uses::Yes(format!("uses {theirs}"))
    } else {
        Uses::No
    }
}

/// The endpoint that a configuration names.
fn configured(text: &str) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        container_runtime_endpoint: Option<String>,
    }
    let config: Option<Config> =
        serde_yaml::from_str(text).map_err(|error| format!("cannot be understood: {error}"))?;
    let endpoint = config.and_then(|config| config.container_runtime_endpoint);
    Ok(endpoint.filter(|endpoint| !endpoint.is_empty()))
}

/// What a kubelet's command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Command {
    endpoint: Option<String>,
    config: Option<String>,
    /// The runtime it uses where nothing names another.
    default: &'static str,
}

impl Command {
    /// `None` where it is no kubelet's.
    fn of(arguments: &[String]) -> Option<Self> {
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
                Some((_, value)) => Some(value.to_owned()),
                None => words.get(at + 1).map(|word| (*word).to_owned()),
            }
        };
        Some(Self {
            endpoint: flag("container-runtime-endpoint"),
            config: flag("config"),
            default,
        })
    }
}

/// Whether two endpoints are one socket, by the files where these are there.
fn is_same(theirs: &str, ours: &str) -> bool {
    let (theirs, ours) = (socket(theirs), socket(ours));
    let id = |path: &str| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    match (id(&theirs), id(&ours)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => theirs == ours,
    }
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
mod tests;
