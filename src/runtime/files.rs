//! The files a pod and its containers get of their own: directories, logs, `/etc/hosts`, the
//! termination log, and the bind mounts of subPaths.
//!
//! Everything here may be repeated and continued after a crash at any point, and leaves nothing behind
//! once it was asked to stop. Volumes are made by [`volume`](crate::volume), which also takes all of
//! this away again.

mod beneath;
mod env_file;
pub mod resolver;
mod steps;
mod subpath;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use super::translate::dns::ResolvConf;
use super::translate::{ContainerInput, Host, container, env, mounts, names, security};
use crate::api::ContainerName;
use crate::blocking::Progress;
use crate::files::{self, Links};
use crate::model::{DesiredPod, Reason};

pub use crate::model::paths::{log_directory, pod_directory};

/// The beginning of the name of a termination log; its attempt follows.
const TERMINATION_LOG: &str = "termination-log.";

/// Values of `fileKeyRef` by volume, path in the volume, and key.
pub type FileKeys = BTreeMap<(String, String, String), Vec<u8>>;

/// What a pod's sandbox needs of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodFiles {
    /// The host's resolver configuration as it is now.
    pub resolv: ResolvConf,
    /// The first host id of the pod's user namespace, where it has one.
    pub userns: Option<u32>,
}

/// What one container finds of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFiles {
    /// The pod's `/etc/hosts`, unless the container mounts its own.
    pub etc_hosts: Option<PathBuf>,
    /// Where its last words are written.
    pub termination_log: Option<PathBuf>,
    /// Bind mounts of the paths inside volumes, by index of the volume mount.
    pub sub_paths: BTreeMap<usize, PathBuf>,
    /// Values its environment takes from files.
    pub file_keys: FileKeys,
    /// The first host id of the pod's user namespace, where it has one.
    pub userns: Option<u32>,
}

/// Makes the pod's directories and reads what its sandbox needs.
///
/// # Errors
///
/// When a directory cannot be made or the resolver configuration not be read; or it was asked to stop.
pub fn prepare_pod(pod: &DesiredPod, host: &Host, progress: &Progress) -> Result<PodFiles, Reason> {
    let own = pod_directory(pod.key(), &host.pods_root);
    steps::directory(&own, 0o750, progress).map_err(|e| failed("make", &own, &e))?;
    // Log shippers are not all root.
    let logs = log_directory(pod.key(), &host.pod_logs);
    for directory in [&host.pod_logs, &logs] {
        steps::directory(directory, 0o755, progress).map_err(|e| failed("make", directory, &e))?;
    }
    let resolv = progress
        .begin(host.resolv_conf.display().to_string())
        .map_err(Into::into)
        .and_then(|()| resolver::read(&host.resolv_conf));
    let resolv = resolv.map_err(|e| failed("read", &host.resolv_conf, &e))?;
    let userns = user_namespace(pod, host, progress)?;
    Ok(PodFiles { resolv, userns })
}

/// Makes the files of one container that is about to be created.
///
/// # Errors
///
/// `CreateContainerConfigError`, also for a subPath that leads out of its volume; or it was asked to
/// stop.
pub fn prepare_container(
    pod: &DesiredPod,
    input: &ContainerInput<'_>,
    host: &Host,
    progress: &Progress,
) -> Result<ContainerFiles, Reason> {
    let spec = container::find(pod, input)?;
    let of = |reason: Reason| reason.of_container(&spec.name);
    let logs = log_directory(pod.key(), &host.pod_logs).join(&spec.name);
    steps::directory(&logs, 0o755, progress).map_err(|e| of(failed("make", &logs, &e)))?;
    let mut files = ContainerFiles {
        etc_hosts: etc_hosts(pod, spec, input.ips, host, progress).map_err(of)?,
        termination_log: termination_log(pod, spec, input.attempt, host, progress).map_err(of)?,
        file_keys: env_file::values(pod, spec, input.volumes, progress)?,
        userns: user_namespace(pod, host, progress).map_err(of)?,
        sub_paths: BTreeMap::new(),
    };
    let environment = env::environment(pod, spec, input.ips, &files.file_keys, host)?;
    for (index, mount) in spec.volume_mounts.iter().flatten().enumerate() {
        let is_image = mounts::volume(pod, &mount.name).is_some_and(|v| v.image.is_some());
        let path = mounts::sub_path(spec, mount, &environment)?;
        let (Some(path), false) = (path, is_image) else {
            continue;
        };
        let Some(volume) = input.volumes.get(&mount.name) else {
            continue;
        };
        let target = pod_directory(pod.key(), &host.pods_root)
            .join("volume-subpaths")
            .join(&mount.name)
            .join(&spec.name)
            .join(index.to_string());
        subpath::bind(volume, &path, &target, progress).map_err(|e| {
            let message = format!(
                "failed to prepare subPath for volumeMount \"{}\" of container \"{}\": {e}",
                mount.name, spec.name
            );
            of(Reason::new("CreateContainerConfigError", message))
        })?;
        files.sub_paths.insert(index, target);
    }
    Ok(files)
}

/// The path of a container's log below the pod's: `CONTAINER/N.log`.
#[must_use]
pub fn log_path(container: &ContainerName, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

/// The pod's hosts file, written in place: running containers have the file itself mounted.
fn etc_hosts(
    pod: &DesiredPod,
    container: &Container,
    ips: &[String],
    host: &Host,
    progress: &Progress,
) -> Result<Option<PathBuf>, Reason> {
    let mounts = container.volume_mounts.iter().flatten();
    let mounts_own = mounts.into_iter().any(|m| m.mount_path == "/etc/hosts");
    let host_network = pod.spec().host_network == Some(true);
    if mounts_own || (ips.is_empty() && !host_network) {
        return Ok(None);
    }
    let of_host = if host_network {
        let path = Path::new("/etc/hosts");
        files::read_text(path, files::CONFIGURATION).map_err(|e| failed("read", path, &e))?
    } else {
        String::new()
    };
    let text = names::etc_hosts(pod, ips, &of_host, host);
    let path = pod_directory(pod.key(), &host.pods_root).join("etc-hosts");
    // Containers may have written to it: no more is read than it should have.
    let have = files::open(&path, Links::Refuse)
        .and_then(|mut file| files::read_all(&mut file, text.len() as u64));
    if have.is_ok_and(|have| have == text.as_bytes()) {
        return Ok(Some(path));
    }
    steps::file(&path, text.as_bytes(), 0o644, progress).map_err(|e| failed("write", &path, &e))?;
    Ok(Some(path))
}

fn termination_log(
    pod: &DesiredPod,
    container: &Container,
    attempt: u32,
    host: &Host,
    progress: &Progress,
) -> Result<Option<PathBuf>, Reason> {
    let path = container.termination_message_path.as_deref();
    if path.unwrap_or_default().is_empty() {
        return Ok(None);
    }
    let directory = pod_directory(pod.key(), &host.pods_root)
        .join("containers")
        .join(&container.name);
    steps::directory(&directory, 0o750, progress).map_err(|e| failed("make", &directory, &e))?;
    remove_older(&directory, attempt, progress).map_err(|e| failed("tidy", &directory, &e))?;
    let path = directory.join(format!("{TERMINATION_LOG}{attempt}"));
    // Any user of the container may write its last words.
    steps::file(&path, b"", 0o666, progress).map_err(|e| failed("write", &path, &e))?;
    Ok(Some(path))
}

/// Removes the last words of attempts before the last one; a crash loop would fill the directory.
fn remove_older(directory: &Path, attempt: u32, progress: &Progress) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        progress.step()?;
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix(TERMINATION_LOG));
        let number: Option<u32> = number.and_then(|n| n.parse().ok());
        if number.is_some_and(|number| number.saturating_add(1) < attempt) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The pod's range of host ids, chosen once, kept in its directory, and shared with no other pod.
fn user_namespace(
    pod: &DesiredPod,
    host: &Host,
    progress: &Progress,
) -> Result<Option<u32>, Reason> {
    if pod.spec().host_users != Some(false) || !host.features.user_namespaces {
        return Ok(None);
    }
    let path = pod_directory(pod.key(), &host.pods_root).join("userns");
    let read = |path: &Path| -> Option<u32> {
        let text = files::read_text(path, files::CONFIGURATION).ok()?;
        text.trim().parse().ok()
    };
    if let Some(base) = read(&path) {
        return Ok(Some(base));
    }
    let others = fs::read_dir(&host.pods_root).map_err(|e| failed("read", &host.pods_root, &e))?;
    let taken: Vec<u32> = others
        .filter_map(|entry| read(&entry.ok()?.path().join("userns")))
        .collect();
    let free = (1..u32::from(u16::MAX))
        .map(|n| n * security::USERNS_LENGTH)
        .find(|base| !taken.contains(base));
    let Some(base) = free else {
        let message = "no range of ids is left for the pod's user namespace";
        return Err(Reason::new("FailedCreatePodSandBox", message));
    };
    steps::file(&path, base.to_string().as_bytes(), 0o600, progress)
        .map_err(|e| failed("write", &path, &e))?;
    Ok(Some(base))
}

/// Makes a directory with those above it, and gives it exactly this mode, whatever the umask; one
/// that is there is left as it is.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Reason {
    let message = format!("cannot {what} {}: {error}", path.display());
    Reason::new("CreateContainerConfigError", message)
}
