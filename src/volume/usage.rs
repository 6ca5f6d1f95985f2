//! How much of the disk an emptyDir uses, for those that have a limit.
//!
//! As kubelet's `fs.DiskUsage`: blocks, not lengths; a file with several names once; other file
//! systems not, links not followed. It only reads. A walk blocks, so it is made on another thread,
//! and is given up when it is told to stop.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::{DesiredPod, paths};

/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

/// An emptyDir on disk with a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The volume's name.
    pub volume: String,
    /// Where it lies.
    pub path: PathBuf,
    /// The limit as the pod writes it.
    pub limit: String,
}

/// The volumes of a pod on whose use of the disk there is a limit.
#[must_use]
pub fn limited(pod: &DesiredPod, pods_root: &Path) -> Vec<Limited> {
    let own = paths::pod_directory(pod.key(), pods_root);
    let volumes = pod.spec().volumes.iter().flatten();
    let limited = volumes.filter_map(|volume| {
        let source = volume.empty_dir.as_ref()?;
        let limit = source.size_limit.as_ref()?;
        let on_disk = source.medium.as_deref().unwrap_or_default().is_empty();
        on_disk.then(|| Limited {
            volume: volume.name.clone(),
            path: own
                .join("volumes/kubernetes.io~empty-dir")
                .join(&volume.name),
            limit: limit.0.clone(),
        })
    });
    limited.collect()
}

impl Limited {
    /// The bytes it uses; `None` when it was told to stop, or the volume is not there. What goes
    /// away during the walk is not counted.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn used(&self, stop: &dyn Fn() -> bool) -> io::Result<Option<u64>> {
        let Some(root) = present(fs::symlink_metadata(&self.path))? else {
            return Ok(None);
        };
        let mut bytes = root.blocks() * BLOCK;
        let mut linked = BTreeSet::new();
        let mut unread = vec![self.path.clone()];
        while let Some(directory) = unread.pop() {
            let Some(entries) = present(fs::read_dir(&directory))? else {
                continue;
            };
            for entry in entries {
                if stop() {
                    return Ok(None);
                }
                let Some(entry) = present(entry)? else {
                    continue;
                };
                let Some(found) = present(entry.metadata())? else {
                    continue;
                };
                if found.dev() != root.dev() {
                    continue;
                }
                if found.is_dir() {
                    unread.push(entry.path());
                } else if found.nlink() > 1 && !linked.insert(found.ino()) {
                    continue;
                }
                bytes += found.blocks() * BLOCK;
            }
        }
        Ok(Some(bytes))
    }
}

/// None for what is not there, or not any more.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn volume(path: &Path) -> Limited {
        Limited {
            volume: "tmp".to_owned(),
            path: path.to_owned(),
            limit: "1Mi".to_owned(),
        }
    }

    #[test]
    fn files_count_once_and_links_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let used = || {
            volume(path)
                .used(&|| false)
                .expect("it can be read")
                .expect("it is there")
        };
        let before = used();
        fs::create_dir_all(path.join("a/b")).expect("directories");
        fs::File::create(path.join("a/b/one"))
            .and_then(|mut file| io::Write::write_all(&mut file, &vec![1; MIB]))
            .expect("a file");
        fs::hard_link(path.join("a/b/one"), path.join("two")).expect("another name");
        std::os::unix::fs::symlink("/usr", path.join("a/away")).expect("a link");
        let grown = used() - before;
        let mib = MIB as u64;
        assert!((mib..mib + mib / 4).contains(&grown), "{grown}");
        // Length is not use.
        let sparse = fs::File::create(path.join("sparse")).expect("a file");
        sparse.set_len(1 << 40).expect("a long file");
        assert!(used() - before < 2 * mib);
    }

    #[test]
    fn a_walk_can_be_stopped_and_what_is_gone_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::File::create(directory.path().join("one")).expect("a file");
        assert_eq!(
            volume(directory.path())
                .used(&|| true)
                .expect("it can be read"),
            None
        );
        let gone = directory.path().join("gone");
        assert_eq!(volume(&gone).used(&|| false).expect("no error"), None);
    }

    #[test]
    fn only_volumes_on_disk_with_a_limit_are_looked_at() {
        let spec = serde_json::json!({"containers": [], "volumes": [
            {"name": "free", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "disk", "emptyDir": {"sizeLimit": "64Mi"}},
        ]});
        let pod = DesiredPod::of_test(spec, &[]);
        let found = limited(&pod, Path::new("/pods"));
        assert_eq!(
            found,
            [Limited {
                volume: "disk".to_owned(),
                path: "/pods/1-2/volumes/kubernetes.io~empty-dir/disk".into(),
                limit: "64Mi".to_owned(),
            }]
        );
    }
}
