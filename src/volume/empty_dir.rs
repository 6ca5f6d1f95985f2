//! emptyDir: a directory of the pod's own, on disk, in memory or of huge pages.
//!
//! Follows kubelet v1.36's `empty_dir` plugin. A `sizeLimit` on disk is not enforced by the file
//! system, but by a look at what is used (`usage.rs`); in memory it is the size of the tmpfs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;

use super::{Context, Error, mounts, ownership};
use crate::model::Amount;

/// Makes the directory, and mounts what its medium asks for. Once made it is the containers': its
/// modes and owners are not touched again.
pub(super) fn prepare(
    context: &Context<'_>,
    volume: &str,
    source: &EmptyDirVolumeSource,
) -> Result<PathBuf, Error> {
    let path = context.directory("empty-dir", volume);
    let group = context.fs_group();
    match source.medium.as_deref() {
        Some("Memory") => {
            let limit = source.size_limit.as_ref().map(|q| Amount::of(q).value());
            context.make(volume, &path)?;
            mounts::tmpfs(&path, context.tmpfs_bytes(limit), group).map_err(Error::io(
                volume,
                "mount tmpfs on",
                &path,
            ))?;
        }
        Some(medium) if medium.starts_with("HugePages") => {
            let size = page_size(context, volume, medium)?;
            context.make(volume, &path)?;
            mounts::hugetlbfs(&path, size, group).map_err(Error::io(
                volume,
                "mount hugetlbfs on",
                &path,
            ))?;
        }
        _ if path.is_dir() => {}
        _ => on_disk(context, volume, &path)?,
    }
    Ok(path)
}

/// Makes a directory on disk under another name first, so that it is never there by halves.
fn on_disk(context: &Context<'_>, volume: &str, path: &Path) -> Result<(), Error> {
    let new = context.directory("empty-dir", &format!(".new-{volume}"));
    context.make(volume, &new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o777))
        .map_err(Error::io(volume, "chmod", &new))?;
    if let Some(group) = context.fs_group() {
        let access = ownership::Access::ReadWrite;
        ownership::give(&new, group, access, context.progress).map_err(Error::io(
            volume,
            "set the group of",
            &new,
        ))?;
    }
    fs::rename(&new, path).map_err(Error::io(volume, "make", path))
}

/// The page size in bytes that a medium names, or that is the only one the pod asks for.
fn page_size(context: &Context<'_>, volume: &str, medium: &str) -> Result<u64, Error> {
    let named = medium.strip_prefix("HugePages-").map(str::to_owned);
    let spec = context.pod.spec();
    let limits = crate::model::resources::pod_limits(spec);
    let asked: Vec<&str> = limits
        .keys()
        .filter_map(|name| name.strip_prefix("hugepages-"))
        .collect();
    let text = match (named, asked.as_slice()) {
        (Some(named), _) => named,
        (None, [only]) => (*only).to_owned(),
        _ => {
            return Err(Error::Unsupported {
                volume: volume.to_owned(),
                what: "medium HugePages in a pod that asks for no or several page sizes".to_owned(),
            });
        }
    };
    u64::try_from(Amount::written(&text).value()).map_err(|_| Error::Unsupported {
        volume: volume.to_owned(),
        what: format!("medium {medium}"),
    })
}
