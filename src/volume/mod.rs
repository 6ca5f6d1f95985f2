//! The pod's volumes on the host: made before its containers, brought up to date while they run,
//! and taken away after them.
//!
//! One file per kind, with kubelet v1.36's layout (`UID/volumes/kubernetes.io~KIND/NAME`), checks,
//! modes and messages. Preparing may be repeated at any time and continued after a crash at any
//! point. Only volumes that some container uses are looked at, as kubelet does.
//!
//! Everything here may hang where a volume lies on a file system that does not answer: it is called
//! on a thread of [`blocking`](crate::blocking), says by its [`Progress`] what it is at, and ends when it
//! is asked to.

mod content;
mod empty_dir;
mod error;
mod host_path;
mod mounts;
mod ownership;
mod projected;
mod teardown;
#[cfg(test)]
mod tests;
mod tree;
mod usage;
mod writer;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Volume;

use crate::blocking::Progress;
use crate::model::{DesiredPod, NodeFacts, VolumePaths, paths};

pub use error::Error;
pub use teardown::{made, remove_left, teardown};
pub use usage::{Limited, Usage, limited};

/// What volumes are made of.
struct Context<'a> {
    pod: &'a DesiredPod,
    node: &'a NodeFacts,
    pods_root: &'a Path,
    progress: &'a Progress,
}

/// Checks and makes the pod's volumes, and writes the newest content of those that have some.
///
/// # Errors
///
/// The first volume that cannot be had; nothing that runs is touched by it.
pub fn prepare(
    pod: &DesiredPod,
    pods_root: &Path,
    node: &NodeFacts,
    progress: &Progress,
) -> Result<VolumePaths, Error> {
    let context = Context {
        pod,
        node,
        pods_root,
        progress,
    };
    let used = used(pod);
    let mut paths = VolumePaths::new();
    for volume in pod.spec().volumes.iter().flatten() {
        if !used.contains(volume.name.as_str()) {
            continue;
        }
        if let Some(path) = context.prepare(volume)? {
            paths.insert(volume.name.clone(), path);
        }
    }
    Ok(paths)
}

/// The volumes that containers mount, or read environment variables from.
fn used(pod: &DesiredPod) -> BTreeSet<&str> {
    let spec = pod.spec();
    let all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    all.flat_map(|container| {
        let mounts = container.volume_mounts.iter().flatten();
        let sources = container.env.iter().flatten();
        let files = sources.filter_map(|env| env.value_from.as_ref()?.file_key_ref.as_ref());
        mounts
            .map(|mount| mount.name.as_str())
            .chain(files.map(|file| file.volume_name.as_str()))
    })
    .collect()
}

impl Context<'_> {
    /// Makes one volume; none for an image, which the runtime mounts itself.
    fn prepare(&self, volume: &Volume) -> Result<Option<PathBuf>, Error> {
        let name = volume.name.as_str();
        let path = volume.host_path.as_ref().map(|source| &source.path);
        let lies_at = path.map_or_else(
            || paths::pod_directory(self.pod.key(), self.pods_root),
            PathBuf::from,
        );
        // What hangs is told of in the words of what fails.
        self.progress.begin(format!(
            "MountVolume.SetUp failed for volume \"{name}\" : {}",
            lies_at.display()
        ))?;
        if let Some(source) = &volume.host_path {
            return host_path::prepare(name, source).map(Some);
        }
        if let Some(source) = &volume.empty_dir {
            return empty_dir::prepare(self, name, source).map(Some);
        }
        if volume.image.is_some() {
            return Ok(None);
        }
        if let Some(payload) = projected::payload(self, volume)? {
            return content::prepare(self, name, &payload).map(Some);
        }
        Err(Error::Unsupported {
            volume: name.to_owned(),
            what: "a volume of this type".to_owned(),
        })
    }

    /// Where a volume of a kind lies.
    fn directory(&self, kind: &str, name: &str) -> PathBuf {
        paths::pod_directory(self.pod.key(), self.pods_root)
            .join("volumes")
            .join(format!("kubernetes.io~{kind}"))
            .join(name)
    }

    /// Makes a volume's directory and those above it, with kubelet's modes whatever the umask.
    fn make(&self, volume: &str, path: &Path) -> Result<(), Error> {
        let own = paths::pod_directory(self.pod.key(), self.pods_root);
        let volumes = own.join("volumes");
        let kind = path.parent().unwrap_or(path);
        let steps = [
            (own.as_path(), 0o750),
            (&volumes, 0o750),
            (kind, 0o755),
            (path, 0o755),
        ];
        for (directory, mode) in steps {
            if directory.is_dir() {
                continue;
            }
            DirBuilder::new()
                .recursive(true)
                .create(directory)
                .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(mode)))
                .map_err(Error::io(volume, "make", directory))?;
        }
        Ok(())
    }

    /// The group that volumes are given to.
    fn fs_group(&self) -> Option<u32> {
        let context = self.pod.spec().security_context.as_ref();
        u32::try_from(context?.fs_group?).ok()
    }

    /// How large a tmpfs may be: the least of its own limit, the pod's memory and the node's.
    fn tmpfs_bytes(&self, limit: Option<i64>) -> u64 {
        let (_, memory) = crate::model::resources::pod_bounds(self.pod.spec());
        let of_node = self.node.allocatable_memory_bytes;
        [limit, memory.map(|amount| amount.value())]
            .into_iter()
            .flatten()
            .filter_map(|bytes| u64::try_from(bytes).ok())
            .filter(|&bytes| bytes > 0)
            .chain((of_node > 0).then_some(of_node))
            .min()
            .unwrap_or(0)
    }
}
