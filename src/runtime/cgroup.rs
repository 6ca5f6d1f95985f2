//! Makes, bounds and removes the cgroups of pods, which the runtime leaves to the agent.
//!
//! Follows kubelet v1.36's pod container manager: cpu, memory and pids of the pod as a whole are
//! bounded in the parent of its containers' cgroups. Works on cgroup v1, v2 and both at once;
//! controllers the host does not have are passed over.
//!
//! Differs: the share of the burstable class is the kernel's default and not the sum of its pods'
//! requests, since there is no class of processes beside them that would gain by it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tracing::warn;

use super::translate::cgroup::{PERIOD, PodBounds, cgroup_parent, path_of, pod_bounds_of};
use super::translate::{Host, linux};
use crate::api::Uid;
use crate::cri::CgroupDriver;
use crate::model::resources::QosClass;
use crate::model::{Amount, DesiredPod, Reason};

/// Where the kernel shows its cgroups.
const ROOT: &str = "/sys/fs/cgroup";
/// The controllers whose bounds are written.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Bounds the pod's cgroup, making it first. Under the systemd driver systemd makes it with the
/// sandbox, so there this does nothing until then: call it before and after the sandbox is made.
///
/// # Errors
///
/// `FailedCreatePodContainer` when the kernel refuses.
pub fn prepare(pod: &DesiredPod, host: &Host) -> Result<(), Reason> {
    let path = cgroup_parent(pod, host);
    let bounds = pod_bounds_of(pod, host);
    let make = host.cgroup_driver == CgroupDriver::Cgroupfs;
    bound(Path::new(ROOT), &path, &bounds, make).map_err(|(at, e)| {
        let message = format!("cannot bound the pod's cgroup {}: {e}", at.display());
        Reason::new("FailedCreatePodContainer", message)
    })
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
        return stop_slices(&paths);
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

fn bound(root: &Path, path: &str, bounds: &PodBounds, make: bool) -> Result<(), Failure> {
    if root.join("cgroup.controllers").exists() {
        if make {
            make_unified(root, path)?;
        }
        let at = below(root, path);
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
                lower_best_effort(&at)?;
            }
        }
        write_all(&at, &files)?;
    }
    Ok(())
}

/// The files of cgroup v1, in the order of [`CONTROLLERS`].
fn legacy(bounds: &PodBounds) -> [Vec<(&'static str, String)>; 3] {
    let mut cpu = vec![("cpu.shares", bounds.cpu_shares.to_string())];
    if let Some(quota) = bounds.cpu_quota {
        cpu.push(("cpu.cfs_period_us", PERIOD.to_string()));
        cpu.push(("cpu.cfs_quota_us", quota.to_string()));
    }
    let memory = bounds
        .memory
        .map(|m| ("memory.limit_in_bytes", m.to_string()));
    let pids = bounds.pids.map(|p| ("pids.max", p.to_string()));
    [
        cpu,
        memory.into_iter().collect(),
        pids.into_iter().collect(),
    ]
}

/// The files of cgroup v2.
fn unified(bounds: &PodBounds) -> Vec<(&'static str, String)> {
    // Shares from 2 to 262144 as a weight from 1 to 10000, as runc converts them.
    let weight = 1 + (bounds.cpu_shares - 2) * 9999 / 262_142;
    let mut files = vec![("cpu.weight", weight.to_string())];
    if let Some(quota) = bounds.cpu_quota {
        files.push(("cpu.max", format!("{quota} {PERIOD}")));
    }
    files.extend(bounds.memory.map(|m| ("memory.max", m.to_string())));
    files.extend(bounds.pids.map(|p| ("pids.max", p.to_string())));
    files
}

/// Makes a cgroup of v2, with the controllers it needs handed down from the root.
fn make_unified(root: &Path, path: &str) -> Result<(), Failure> {
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
        make_directory(&at)?;
    }
    Ok(())
}

/// Pods that ask for nothing get what others leave.
fn lower_best_effort(pod: &Path) -> Result<(), Failure> {
    match pod.parent() {
        Some(class) if class.ends_with("besteffort") => {
            let shares = linux::cpu_shares(&Amount::default()).to_string();
            write_all(class, &[("cpu.shares", shares)])
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    builder.create(path).map_err(|e| (path.to_owned(), e))
}

fn write_all(at: &Path, files: &[(&str, String)]) -> Result<(), Failure> {
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
    if root.join("cgroup.controllers").exists() {
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

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: PodBounds = PodBounds {
        cpu_shares: 1024,
        cpu_quota: Some(5000),
        memory: Some(1 << 20),
        pids: None,
    };

    #[test]
    fn bounds_go_to_the_controllers_that_are_there() {
        let root = tempfile::tempdir().expect("a directory");
        let pod = root.path().join("cpu/setlet/podx");
        fs::create_dir_all(&pod).expect("a directory");
        for name in ["cpu.shares", "cpu.cfs_quota_us"] {
            fs::File::create(pod.join(name)).expect("a file");
        }
        assert!(bound(root.path(), "/setlet/podx", &BOUNDS, true).is_ok());
        let read = |name: &str| fs::read_to_string(pod.join(name)).expect("a file");
        assert_eq!(read("cpu.shares"), "1024");
        assert_eq!(read("cpu.cfs_quota_us"), "5000");
        assert!(!root.path().join("memory").exists());
    }

    #[test]
    fn shares_become_weights() {
        let files = unified(&BOUNDS);
        assert_eq!(files[0], ("cpu.weight", "39".to_owned()));
        assert_eq!(files[1], ("cpu.max", "5000 100000".to_owned()));
    }
}
