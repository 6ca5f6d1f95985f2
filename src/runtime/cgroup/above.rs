//! The cgroups above those of pods: of the classes, and of all pods together.
//!
//! Follows kubelet v1.36's `qosContainerManagerImpl` and `enforceNodeAllocatableCgroups`. As there, a
//! limit of memory below what pods use already is put off and tried again. Differs: kubelet leaves
//! that to the kernel, which on cgroup v2 does not refuse it but kills; here it is looked at first,
//! so that an agent of a newer version, or with more reserved, kills nothing that runs well.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ROOT, below, is_unified, set};
use crate::blocking::Lane;
use crate::model::Reason;
use crate::runtime::Runtime;
use crate::runtime::translate::Host;
use crate::runtime::translate::cgroup::{Above, Bounds};

impl Runtime {
    /// As [`prepare_above`], on a thread.
    ///
    /// # Errors
    ///
    /// As there; and when there is no answer.
    pub async fn bound_above(&self, above: Vec<Above>) -> Result<(), Reason> {
        let host = self.host();
        let lane = Lane::own("the cgroups of all pods");
        let done = self
            .inner
            .blocking
            .run(lane, move |_| prepare_above(&above, &host));
        done.await
            .unwrap_or_else(|why| Err(why.reason("FailedNodeAllocatableEnforcement")))
    }
}

/// Bounds the cgroups above those of pods, making them first; under the systemd driver only those
/// that are there. Every one is tried, whatever comes of another.
///
/// # Errors
///
/// `FailedNodeAllocatableEnforcement` when the kernel refuses, or pods use more than they may together.
fn prepare_above(above: &[Above], host: &Host) -> Result<(), Reason> {
    let mut first = Ok(());
    for Above { path, bounds } in above {
        let (bounds, too_much) = what_fits(Path::new(ROOT), path, bounds);
        let done = set(path, &bounds, host).map_err(|(at, e)| format!("{}: {e}", at.display()));
        first = first.and(done).and(too_much.map_or(Ok(()), Err));
    }
    first.map_err(|why| {
        let message = format!("Failed to update Node Allocatable Limits: {why}");
        Reason::new("FailedNodeAllocatableEnforcement", message)
    })
}

/// The bounds that can be set without that anything is killed, and why others cannot.
fn what_fits(root: &Path, path: &str, bounds: &Bounds) -> (Bounds, Option<String>) {
    let at = below(root, path);
    let used = is_unified(root).then(|| in_use(&at)).flatten();
    match (used, bounds.memory) {
        (Some(used), Some(limit)) if used >= limit => {
            let why = format!(
                "the pods in {} use {used} bytes of memory, the limit would be {limit}",
                at.display()
            );
            let without = Bounds {
                memory: None,
                ..bounds.clone()
            };
            (without, Some(why))
        }
        _ => (bounds.clone(), None),
    }
}

/// How many bytes of memory a cgroup of v2 uses that the kernel cannot have back at once.
fn in_use(at: &Path) -> Option<i64> {
    let current = fs::read_to_string(at.join("memory.current")).ok()?;
    let current: i64 = current.trim().parse().ok()?;
    let stat = fs::read_to_string(at.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| {
        let bytes = line.strip_prefix("inactive_file ")?;
        bytes.trim().parse::<i64>().ok()
    });
    Some(current.saturating_sub(cache.unwrap_or(0)))
}

/// Whether this kernel can bound how much of a cgroup's memory is swapped out, on cgroup v2. The root
/// has no such file, so the agent's own cgroup is looked at and those next to the root.
#[must_use]
pub fn bounds_swap() -> bool {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::"));
    has_swap_file(Path::new(ROOT), own.unwrap_or("/"))
}

fn has_swap_file(root: &Path, own: &str) -> bool {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let next: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let mut all = std::iter::once(below(root, own)).chain(next);
    is_unified(root) && all.any(|at| at.join("memory.swap.max").exists())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;

    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut file = fs::File::create(path).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn of_memory(memory: i64) -> Bounds {
        Bounds {
            cpu_shares: 1024,
            cpu_quota: None,
            memory: Some(memory),
            pids: Some(7),
            hugepages: BTreeMap::new(),
        }
    }

    #[test]
    fn a_limit_below_what_is_used_is_put_off() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        put(&at("cgroup.controllers"), "cpu memory pids\n");
        put(&at("setlet/memory.current"), "3000\n");
        put(&at("setlet/memory.stat"), "anon 900\ninactive_file 1000\n");
        let fits = |limit| what_fits(root.path(), "/setlet", &of_memory(limit));
        assert_eq!(fits(2001), (of_memory(2001), None));
        let (without, why) = fits(2000);
        assert_eq!((without.memory, without.pids), (None, Some(7)));
        let why = why.expect("a reason");
        assert!(why.contains("use 2000 bytes of memory"), "{why}");
        // A cgroup that is not there yet uses nothing.
        let (new, why) = what_fits(root.path(), "/new", &of_memory(1));
        assert_eq!((new, why), (of_memory(1), None));
    }

    #[test]
    fn swap_can_be_bounded_where_a_cgroup_has_the_file() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        put(&at("system.slice/memory.swap.max"), "max\n");
        assert!(!has_swap_file(root.path(), "/"), "cgroup v1");
        put(&at("cgroup.controllers"), "cpu memory pids\n");
        assert!(has_swap_file(root.path(), "/"));
        fs::remove_file(at("system.slice/memory.swap.max")).expect("removed");
        assert!(!has_swap_file(root.path(), "/a/b"));
        put(&at("a/b/memory.swap.max"), "max\n");
        assert!(has_swap_file(root.path(), "/a/b"));
    }
}
