//! Makes, bounds and removes the cgroups of pods, which the runtime leaves to the agent.
//!
//! Follows kubelet v1.36's container managers: cpu, memory, pids and huge pages of the pod as a whole
//! are bounded in the parent of its containers' cgroups, classes and all pods together in the cgroups
//! above (`above`). Works on cgroup v1, v2 and both at once; controllers the host does not have are
//! passed over. Under the systemd driver systemd is told of the bounds too, since it writes its own
//! at each `daemon-reload`.

mod above;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tracing::warn;

use super::slices;
use super::translate::Host;
use super::translate::cgroup::{
    Bounds, PERIOD, above as cgroups_above, cgroup_parent, path_of, pod_bounds_of,
};
use super::translate::linux::MIN_SHARES;
use crate::api::Uid;
use crate::cri::CgroupDriver;
use crate::model::resources::QosClass;
use crate::model::{DesiredPod, Reason};
pub use above::bounds_swap;

/// Where the kernel shows its cgroups.
const ROOT: &str = "/sys/fs/cgroup";
/// The controllers whose bounds are written.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "hugetlb"];

/// Bounds the pod's cgroup, making it first. Under the systemd driver systemd makes it with the
/// sandbox, so there this does nothing until then: call it before and after the sandbox is made.
///
/// # Errors
///
/// `FailedCreatePodContainer` when the kernel refuses.
pub fn prepare(pod: &DesiredPod, host: &Host) -> Result<(), Reason> {
    let path = cgroup_parent(pod, host);
    let bounds = pod_bounds_of(pod, host);
    set(&path, &bounds, host).map_err(|(at, e)| {
        let message = format!("cannot bound the pod's cgroup {}: {e}", at.display());
        Reason::new("FailedCreatePodContainer", message)
    })
}

/// Bounds a cgroup of the host's, and has systemd know where it makes them.
fn set(path: &str, bounds: &Bounds, host: &Host) -> Result<(), Failure> {
    let root = Path::new(ROOT);
    let make = host.cgroup_driver == CgroupDriver::Cgroupfs;
    if !make {
        let properties = slices::properties(bounds, is_unified(root));
        let units = Path::new(slices::RUN_TIME_UNITS);
        slices::tell(units, path, &properties).map_err(|e| (units.to_owned(), e))?;
    }
    bound(root, path, bounds, make)
}

/// Removes the cgroup of an ended pod, of whatever class it was; what is gone is fine. To be called
/// when the runtime has nothing of the pod any more: a process that is left then is one that the
/// runtime lost, as it may one whose start was cut off, and is killed, as kubelet does.
///
/// # Errors
///
/// `FailedKillPod` while processes are left in it, or the kernel refuses otherwise.
pub fn teardown(uid: &Uid, host: &Host) -> Result<(), Reason> {
    let paths = paths_of(uid, host);
    if host.cgroup_driver == CgroupDriver::Systemd {
        let units = Path::new(slices::RUN_TIME_UNITS);
        let forgotten = paths
            .iter()
            .try_for_each(|path| slices::forget(units, path));
        return stop_slices(&paths).and(forgotten.map_err(|e| not_removed(units, &e)));
    }
    let (mut first, mut busy) = (Ok(()), false);
    for hierarchy in hierarchies(Path::new(ROOT)) {
        for path in &paths {
            let path = below(&hierarchy, path);
            let removed = remove(&path).map_err(|e| {
                busy |= e.kind() == io::ErrorKind::ResourceBusy;
                not_removed(&path, &e)
            });
            first = first.and(removed);
        }
    }
    if busy {
        kill_lost(uid, host);
    }
    first
}

/// Kills what runs in the cgroup of a pod of which nothing should: the runtime lost it.
pub fn kill_lost(uid: &Uid, host: &Host) {
    let mut lost = BTreeMap::new();
    for hierarchy in hierarchies(Path::new(ROOT)) {
        for path in paths_of(uid, host) {
            processes(&below(&hierarchy, &path), &mut lost);
        }
    }
    for (process, cgroup) in lost {
        warn!(cgroup = %cgroup.display(), process, "killed; the runtime had lost it");
        // One that is gone by now is as good.
        kill(Pid::from_raw(process), Signal::SIGKILL).ok();
    }
}

/// Removes the cgroups above those of pods, and what systemd was told of them, where no pod of anybody is
/// left in them; one that the kernel keeps does no harm.
///
/// # Errors
///
/// What systemd was told cannot be taken back.
pub fn remove_above(host: &Host) -> io::Result<()> {
    let paths = cgroups_above(std::iter::empty(), host).map(|above| above.path);
    let units = Path::new(slices::RUN_TIME_UNITS);
    let [all, burstable, best_effort] = &paths;
    for path in [burstable, best_effort, all] {
        if path.trim_matches('/').is_empty() {
            continue;
        }
        let found = hierarchies(Path::new(ROOT)).into_iter();
        for at in found.map(|root| below(&root, path)) {
            if host.cgroup_driver == CgroupDriver::Cgroupfs {
                // The kernel refuses while anything is in it.
                fs::remove_dir(at).ok();
            }
        }
        if host.cgroup_driver == CgroupDriver::Systemd {
            slices::forget(units, path)?;
        }
    }
    if host.cgroup_driver == CgroupDriver::Systemd && !all.trim_matches('/').is_empty() {
        slices::let_go(units, &host.cgroup_root)?;
        let mut left = BTreeMap::new();
        for root in hierarchies(Path::new(ROOT)) {
            processes(&below(&root, all), &mut left);
        }
        if left.is_empty() {
            // As at the end of a pod, systemd is not waited for.
            stop_slices(&paths).ok();
        }
    }
    Ok(())
}

/// The cgroups that a pod may have, by its class.
fn paths_of(uid: &Uid, host: &Host) -> [String; 3] {
    [
        QosClass::Guaranteed,
        QosClass::Burstable,
        QosClass::BestEffort,
    ]
    .map(|class| path_of(uid, class, host))
}

/// Has systemd stop slices, with which it removes their cgroups; those it does not know are no error.
/// That is not waited for: systemd may be slow to answer, and the agent is one thread.
fn stop_slices(paths: &[String; 3]) -> Result<(), Reason> {
    let names = paths.iter().filter_map(|path| Path::new(path).file_name());
    let mut command = Command::new("systemctl");
    command.args(["--quiet", "--no-block", "stop"]).args(names);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null());
    match command.spawn() {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(not_removed(Path::new(&paths[0]), &e)),
        _ => Ok(()),
    }
}

fn not_removed(path: &Path, error: &io::Error) -> Reason {
    let message = format!("cannot remove the cgroup {}: {error}", path.display());
    Reason::new("FailedKillPod", message)
}

type Failure = (PathBuf, io::Error);

/// Whether the host has cgroup v2 alone.
fn is_unified(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

fn bound(root: &Path, path: &str, bounds: &Bounds, make: bool) -> Result<(), Failure> {
    if is_unified(root) {
        hand_down(root, path, make)?;
        let at = below(root, path);
        if make {
            lower_best_effort(&at, &unified_shares(MIN_SHARES))?;
        }
        return write_all(&at, &unified(bounds));
    }
    for (controller, files) in CONTROLLERS.iter().zip(legacy(bounds)) {
        let hierarchy = root.join(controller);
        if !hierarchy.exists() {
            continue;
        }
        let at = below(&hierarchy, path);
        if make {
            make_directory(&at)?;
            if *controller == "cpu" {
                lower_best_effort(&at, &legacy_shares(MIN_SHARES))?;
            }
        }
        write_all(&at, &files)?;
    }
    Ok(())
}

type File = (String, String);

fn file(name: impl Into<String>, value: impl ToString) -> File {
    (name.into(), value.to_string())
}

fn legacy_shares(shares: i64) -> File {
    file("cpu.shares", shares)
}

/// Shares from 2 to 262144 as a weight from 1 to 10000, as kubelet converts them for the cgroups that
/// it makes; runc 1.3.2 and newer do otherwise for containers.
fn unified_shares(shares: i64) -> File {
    file("cpu.weight", slices::weight(shares))
}

/// The files of cgroup v1, in the order of [`CONTROLLERS`].
fn legacy(bounds: &Bounds) -> [Vec<File>; 4] {
    let mut cpu = vec![legacy_shares(bounds.cpu_shares)];
    if let Some(quota) = bounds.cpu_quota {
        cpu.push(file("cpu.cfs_period_us", PERIOD));
        cpu.push(file("cpu.cfs_quota_us", quota));
    }
    let memory = bounds.memory.map(|m| file("memory.limit_in_bytes", m));
    let pids = bounds.pids.map(|p| file("pids.max", p));
    [
        cpu,
        memory.into_iter().collect(),
        pids.into_iter().collect(),
        hugepages(bounds, "limit_in_bytes"),
    ]
}

/// The files of cgroup v2.
fn unified(bounds: &Bounds) -> Vec<File> {
    let mut files = vec![unified_shares(bounds.cpu_shares)];
    files.extend(
        bounds
            .cpu_quota
            .map(|q| file("cpu.max", format!("{q} {PERIOD}"))),
    );
    files.extend(bounds.memory.map(|m| file("memory.max", m)));
    files.extend(bounds.pids.map(|p| file("pids.max", p)));
    files.extend(hugepages(bounds, "max"));
    files
}

/// The files that bound huge pages: those in use, and those that are reserved for a mapping.
fn hugepages(bounds: &Bounds, limit: &str) -> Vec<File> {
    let of_size = |(size, bytes): (&String, &i64)| {
        ["", ".rsvd"].map(|kind| file(format!("hugetlb.{size}{kind}.{limit}"), bytes))
    };
    bounds.hugepages.iter().flat_map(of_size).collect()
}

/// Hands the controllers that a cgroup of v2 needs down to it from the root; makes what is on the way
/// where systemd does not.
fn hand_down(root: &Path, path: &str, make: bool) -> Result<(), Failure> {
    let mut at = root.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        for controller in CONTROLLERS {
            // A controller that is not there or not to be had bounds nothing, and its file is
            // missing below.
            let _ = write(
                &at.join("cgroup.subtree_control"),
                &format!("+{controller}"),
            );
        }
        at.push(name);
        if make {
            make_directory(&at)?;
        }
    }
    Ok(())
}

/// Pods that ask for nothing get what others leave, from the first of them on.
fn lower_best_effort(pod: &Path, shares: &File) -> Result<(), Failure> {
    match pod.parent() {
        Some(class) if class.ends_with("besteffort") => {
            write_all(class, std::slice::from_ref(shares))
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    builder.create(path).map_err(|e| (path.to_owned(), e))
}

fn write_all(at: &Path, files: &[File]) -> Result<(), Failure> {
    for (name, text) in files {
        let path = at.join(name);
        match write(&path, text) {
            // Of a controller the host does not have, or a cgroup systemd has not made yet.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err((path, e)),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// The directories of all hierarchies: of each controller of v1, and of v2.
fn hierarchies(root: &Path) -> Vec<PathBuf> {
    if is_unified(root) {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Removes a cgroup and those below it; they hold no files of their own.
fn remove(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gathers the processes in a cgroup and those below it.
fn processes(path: &Path, into: &mut BTreeMap<i32, PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes(&entry.path(), into);
        }
    }
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    // One of another process namespace than the agent's is shown as 0.
    let ids = listed.lines().filter_map(|line| line.parse().ok());
    let ids = ids.filter(|id| *id > 0);
    into.extend(ids.map(|id| (id, path.to_owned())));
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
