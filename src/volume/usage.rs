//! How much of the disk an emptyDir uses, for those that have a limit.
//!
//! As kubelet's `fs.DiskUsage`: blocks, not lengths; a file with several names once; other file
//! systems not, links not followed, and however deep directories lie below each other. It only reads.
//! A walk blocks, so it is made on another thread, and is given up when it is told to stop.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Stat, fstat};

use super::tree::{Found, Walk};
use crate::blocking::Progress;
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

/// What a volume uses.
#[derive(Debug)]
pub struct Usage {
    /// The bytes of what could be read.
    pub bytes: u64,
    /// The first thing that could not be read and is not counted.
    pub unread: Option<io::Error>,
}

impl Limited {
    /// What it uses; `None` when the volume is not there. What goes away during the walk is not
    /// counted, and what cannot be read neither: the rest is.
    ///
    /// # Errors
    /// When it cannot be read at all, or it was told to stop.
    pub fn used(&self, progress: &Progress) -> io::Result<Option<Usage>> {
        let doing = format!("volume \"{}\" ({})", self.volume, self.path.display());
        progress.begin(doing)?;
        let Some(mut walk) = present(Walk::open(&self.path))? else {
            return Ok(None);
        };
        let mut linked = BTreeSet::new();
        let mut usage = Usage {
            bytes: 0,
            unread: None,
        };
        while let Some(found) = walk.next()? {
            progress.step()?;
            let found = match found {
                Found::Entered => fstat(walk.at()?)?,
                Found::Other => match present(walk.stat())? {
                    Some(file) if counts(&walk, &file, &mut linked)? => file,
                    _ => continue,
                },
                Found::Unread(error) => {
                    // Another file system is not the volume's.
                    if error.kind() != io::ErrorKind::CrossesDevices {
                        usage.unread.get_or_insert_with(|| walk.locate(&error));
                    }
                    continue;
                }
                Found::Left | Found::Lost => continue,
            };
            let blocks = u64::try_from(found.st_blocks).unwrap_or(0);
            usage.bytes = usage.bytes.saturating_add(blocks.saturating_mul(BLOCK));
        }
        Ok(Some(usage))
    }
}

/// Whether a file is on its directory's file system, and was not counted under another name.
fn counts(walk: &Walk, file: &Stat, linked: &mut BTreeSet<(u64, u64)>) -> io::Result<bool> {
    Ok(file.st_dev == fstat(walk.at()?)?.st_dev
        && (file.st_nlink <= 1 || linked.insert((file.st_dev, file.st_ino))))
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
    use std::fs;

    use super::*;

    const MIB: usize = 1 << 20;

    fn volume(path: &Path) -> Limited {
        Limited {
            volume: "tmp".to_owned(),
            path: path.to_owned(),
            limit: "1Mi".to_owned(),
        }
    }

    fn used(path: &Path) -> u64 {
        let usage = volume(path).used(&Progress::default());
        let usage = usage.expect("it can be read").expect("it is there");
        assert!(usage.unread.is_none(), "{usage:?}");
        usage.bytes
    }

    #[test]
    fn what_lies_past_path_max_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let tree = root.path().join("tree");
        fs::create_dir(&tree).expect("a directory");
        fs::File::create(tree.join("hidden"))
            .and_then(|mut file| io::Write::write_all(&mut file, &vec![1; MIB]))
            .expect("a file");
        // Each is moved into the next, as a container can.
        for _ in 0..60 {
            let above = root.path().join("above");
            fs::create_dir(&above).expect("a directory");
            fs::rename(&tree, above.join("d".repeat(100))).expect("moved");
            fs::rename(&above, &tree).expect("moved");
        }
        assert!(used(&tree) >= MIB as u64);
    }

    #[test]
    fn files_count_once_and_links_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let used = || used(path);
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
    fn what_is_gone_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let gone = directory.path().join("gone");
        let used = volume(&gone).used(&Progress::default());
        assert!(used.expect("no error").is_none());
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
