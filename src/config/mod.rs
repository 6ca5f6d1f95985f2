//! The agent's configuration: files in, one validated value out.
//!
//! Three stages. *Fragments* are the file and its drop-ins, each read strictly on its own, so that
//! an error names file and line. They are *merged* in order over the table of defaults: maps
//! merge deeply, lists and scalars replace, null goes back to the default. The result is
//! *validated* as a whole into [`Config`]. Nothing here reads the environment or applies anything.

mod changes;
mod error;
mod fragments;
mod merge;
mod sections;
mod units;
mod validate;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use changes::{live_changes, needs_restart};
pub use error::{Error, Problem};
pub use sections::{
    ContainerLog, CrashLoopBackOff, Effect, Enforcement, ImageGc, ImagePull, Kubernetes, Log,
    LogLevel, Manifests, MemorySwap, Paths, Reserved, Rollback, SwapBehavior, Taint,
};
pub use units::{Bytes, CpuMillis, Duration, Threshold};
pub use watch::{Loaded, watch};

/// Where the configuration is, unless the command line says otherwise.
pub const DEFAULT_FILE: &str = "/etc/setlet/config.yaml";
/// The only version of the configuration there is.
pub const API_VERSION: &str = "setlet.dev/v1";
/// The kind of the configuration.
pub const KIND: &str = "SetletConfiguration";

/// The configuration, merged and validated, every field present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// Always [`KIND`].
    pub kind: String,
    /// The node's name; the hostname where it is absent.
    pub node_name: Option<String>,
    /// Labels of the node, over those it knows of itself.
    pub node_labels: BTreeMap<String, String>,
    /// Taints of the node.
    pub node_taints: Vec<Taint>,
    /// The container runtime's socket, `unix:///path`.
    pub container_runtime_endpoint: String,
    /// How long a call to the runtime may take, except for those that have a deadline of their own.
    pub runtime_request_timeout: Duration,
    /// The resolver configuration that pods get, as kubelet's: where it is `/etc/resolv.conf` and names
    /// a local stub, the resolver behind that; nothing is looked up where it is empty.
    pub resolv_conf: PathBuf,
    /// How long pods may take to stop, all together, when the machine goes down; zero when they are
    /// not stopped.
    pub shutdown_grace_period: Duration,
    /// The manifests directory.
    pub manifests: Manifests,
    /// The API server, where there is one.
    pub kubernetes: Option<Kubernetes>,
    /// Going back to the last good revision.
    pub rollback: Rollback,
    /// Waiting between restarts.
    pub crash_loop_back_off: CrashLoopBackOff,
    /// A docker `config.json` with credentials for registries, besides pods' pull secrets.
    pub docker_config_file: Option<PathBuf>,
    /// kubelet's `CredentialProviderConfig`: programs that are asked for credentials.
    pub image_credential_provider_config_file: Option<PathBuf>,
    /// The directory of those programs.
    pub image_credential_provider_bin_dir: Option<PathBuf>,
    /// Image pulls.
    pub image_pull: ImagePull,
    /// Removal of images.
    #[serde(rename = "imageGC")]
    pub image_gc: ImageGc,
    /// Rotation of container logs.
    pub container_log: ContainerLog,
    /// By signal, for example `memory.available`: below which amount pods are evicted.
    pub eviction_hard: BTreeMap<String, Threshold>,
    /// What pods may not use.
    pub reserved: Reserved,
    /// On what allocatable, the capacity less what is reserved, is enforced.
    pub enforce_node_allocatable: Vec<Enforcement>,
    /// Processes and threads that a pod may have; -1 for no limit.
    pub pod_pids_limit: i64,
    /// Which containers may be swapped out.
    pub memory_swap: MemorySwap,
    /// The agent's own log.
    pub log: Log,
    /// The cgroup under which pods' cgroups are made.
    pub cgroup_root: PathBuf,
    /// The group that may use the agent's socket.
    pub socket_group: String,
    /// Every path the agent writes.
    pub paths: Paths,
}

impl Config {
    /// Reads the configuration from `path` and the drop-ins in `config.d` beside it; without a
    /// path from [`DEFAULT_FILE`], which may be missing. A file that was named must be there.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is not YAML, or has an unknown field or a value of the wrong type;
    /// or the merged values break a rule.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        Self::from_fragments(&fragments::read(path, fragments::From::Anybody)?)
    }

    /// As [`Config::load`], for an agent: what is configured decides what runs as root.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; and where somebody else than root, or the process's own user, could
    /// have written one of the files.
    pub fn load_trusted(path: Option<&Path>) -> Result<Self, Error> {
        Self::from_fragments(&fragments::read(path, fragments::From::Trusted)?)
    }

    /// The configuration when no file says anything.
    ///
    /// # Panics
    ///
    /// Never: the table of defaults is checked by a test.
    #[must_use]
    pub fn defaults() -> Self {
        Self::from_fragments(&[]).expect("the table of defaults is valid")
    }

    fn from_fragments(fragments: &[fragments::Fragment]) -> Result<Self, Error> {
        let merged = merge::over_defaults(fragments.iter().map(|f| &f.value));
        let config: Self = serde_yaml::from_value(merged).map_err(|source| Error::Merged {
            files: fragments.iter().map(|f| f.path.clone()).collect(),
            source,
        })?;
        let problems = validate::check(&config);
        if problems.is_empty() {
            return Ok(config);
        }
        Err(Error::Invalid {
            problems: problems
                .into_iter()
                .map(|problem| fragments::locate(problem, fragments))
                .collect(),
        })
    }

    /// The merged configuration with every default, as `setlet config` prints it.
    ///
    /// # Panics
    ///
    /// Never: every field is a scalar, a list or a map with text keys.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        crate::api::to_yaml(self).expect("a configuration is plain data")
    }

    /// The files and directories whose change may change the configuration: the file and the
    /// directory of drop-ins, whether they exist or not.
    #[must_use]
    pub fn watched(path: Option<&Path>) -> [PathBuf; 2] {
        let file = path.unwrap_or(Path::new(DEFAULT_FILE));
        [file.to_owned(), fragments::drop_in_directory(file)]
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.paths.run.join("setlet.sock")
    }
}
