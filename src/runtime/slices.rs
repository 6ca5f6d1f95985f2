//! Keeps systemd from stopping pods by itself when it stops the machine.
//!
//! Under the systemd driver a pod's cgroup is a slice that systemd makes on its own. Such a slice
//! conflicts with `shutdown.target`, so that all pods were stopped at once, before the agent could
//! stop them in order. Drop-ins of systemd's run-time directory take that from the agent's slices
//! (systemd.unit(5): `setlet-.slice.d` is read for every slice below `setlet.slice`); they are gone
//! with the next boot and made again. What the agent does not stop is killed at the very end.
//!
//! By drop-ins too systemd is told how a slice is bounded: at each `daemon-reload` it writes what it
//! knows into the cgroups of its slices, over what others wrote there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::translate::cgroup::{Bounds, slice_of};
use crate::files;

/// Where systemd reads units that last until the next boot.
pub const RUN_TIME_UNITS: &str = "/run/systemd/system";
const DROP_IN: &str = "50-setlet.conf";
const TEXT: &str = "[Unit]\nDefaultDependencies=no\n";
const BOUNDS: &str = "60-setlet-bounds.conf";

/// Makes the drop-ins below `units` for the slice of the cgroup `root` and those below it, before the
/// first of them is made.
///
/// # Errors
///
/// When they cannot be written.
pub fn keep_from_shutdown(units: &Path, root: &str) -> io::Result<()> {
    let Some(slice) = slice_of(root) else {
        return Ok(());
    };
    for of in [format!("{slice}.slice.d"), format!("{slice}-.slice.d")] {
        put(&units.join(of), DROP_IN, TEXT)?;
    }
    Ok(())
}

/// Takes them back, where nobody else has something there.
///
/// # Errors
///
/// When they cannot be removed.
pub fn let_go(units: &Path, root: &str) -> io::Result<()> {
    let Some(slice) = slice_of(root) else {
        return Ok(());
    };
    for of in [format!("{slice}.slice.d"), format!("{slice}-.slice.d")] {
        for name in [DROP_IN, BOUNDS] {
            gone(fs::remove_file(units.join(&of).join(name)))?;
        }
        gone(fs::remove_dir(units.join(&of)))?;
    }
    Ok(())
}

/// What systemd calls the bounds of a cgroup (systemd.resource-control(5)), as a drop-in. It has no
/// word for huge pages, and leaves their files alone.
#[must_use]
pub fn properties(bounds: &Bounds, unified: bool) -> String {
    let mut text = "[Slice]\n".to_owned();
    text.push_str(&match unified {
        true => format!("CPUWeight={}\n", weight(bounds.cpu_shares)),
        false => format!("CPUShares={}\n", bounds.cpu_shares),
    });
    if let Some(quota) = bounds.cpu_quota {
        // Of a period of 100 ms; systemd takes no more than hundredths of a percent.
        let (percent, rest) = (quota / 1000, quota % 1000 / 10);
        text.push_str(&format!("CPUQuota={percent}.{rest:02}%\n"));
    }
    if let Some(memory) = bounds.memory {
        text.push_str(&format!("MemoryMax={memory}\n"));
    }
    if let Some(pids) = bounds.pids {
        text.push_str(&format!("TasksMax={pids}\n"));
    }
    text
}

/// Shares of cgroup v1, from 2 to 262144, as a weight of v2, from 1 to 10000, as kubelet has them.
#[must_use]
pub(super) fn weight(shares: i64) -> i64 {
    1 + (shares - 2) * 9999 / 262_142
}

/// Tells systemd of a slice's properties, by its path below the cgroups; for when it loads the slice
/// and when it reads its units again.
///
/// # Errors
///
/// When the drop-in cannot be written.
pub fn tell(units: &Path, path: &str, properties: &str) -> io::Result<()> {
    match directory(units, path) {
        Some(directory) => put(&directory, BOUNDS, properties),
        None => Ok(()),
    }
}

/// Takes back what was told of a slice.
///
/// # Errors
///
/// When the drop-in cannot be removed.
pub fn forget(units: &Path, path: &str) -> io::Result<()> {
    let Some(directory) = directory(units, path) else {
        return Ok(());
    };
    gone(fs::remove_file(directory.join(BOUNDS)))?;
    gone(fs::remove_dir(directory))
}

/// What is not there is gone; a directory in which somebody else has a drop-in stays.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        done => done,
    }
}

/// Where the drop-ins of a slice lie; none of what is no slice, or without systemd.
fn directory(units: &Path, path: &str) -> Option<PathBuf> {
    let name = path.rsplit('/').next()?;
    let is_slice = name.ends_with(".slice") && units.is_dir();
    is_slice.then(|| units.join(format!("{name}.d")))
}

/// Writes a drop-in where it is not as it should be.
#[expect(
    clippy::disallowed_methods,
    reason = "in memory, and half a drop-in is written whole by the next start"
)]
fn put(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let path = directory.join(name);
    let have = files::read(&path, text.len() as u64);
    if have.ok().as_deref() != Some(text.as_bytes()) {
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slice_of_the_root_and_those_below_it_have_drop_ins() {
        let units = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            keep_from_shutdown(units.path(), "/edge/set-let").expect("written");
        }
        keep_from_shutdown(units.path(), "/").expect("nothing to do");
        let mut made: Vec<_> = fs::read_dir(units.path())
            .expect("a list")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        made.sort();
        assert_eq!(made, ["edge-set_let-.slice.d", "edge-set_let.slice.d"]);
        let path = units.path().join("edge-set_let.slice.d").join(DROP_IN);
        assert_eq!(fs::read_to_string(path).expect("text"), TEXT);
        let others = units.path().join("edge-set_let-.slice.d/90-mine.conf");
        fs::File::create(&others).expect("a file");
        for _ in 0..2 {
            let_go(units.path(), "/edge/set-let").expect("taken back");
        }
        assert!(others.exists() && !units.path().join("edge-set_let.slice.d").exists());
        let names = fs::read_dir(others.parent().expect("a parent")).expect("a list");
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn systemd_hears_of_bounds_and_forgets_them() {
        let units = tempfile::tempdir().expect("a directory");
        let path = "/setlet.slice/setlet-pod1_2.slice";
        let bounds = Bounds {
            cpu_shares: 512,
            cpu_quota: Some(12_345),
            memory: Some(1 << 20),
            pids: Some(100),
            hugepages: [("2MB".to_owned(), 0)].into(),
        };
        tell(units.path(), path, &properties(&bounds, true)).expect("told");
        let directory = units.path().join("setlet-pod1_2.slice.d");
        let text = fs::read_to_string(directory.join(BOUNDS)).expect("text");
        let expected = "[Slice]\nCPUWeight=20\nCPUQuota=12.34%\nMemoryMax=1048576\nTasksMax=100\n";
        assert_eq!(text, expected);
        assert!(properties(&bounds, false).contains("CPUShares=512\n"));
        for _ in 0..2 {
            forget(units.path(), path).expect("forgotten");
        }
        assert!(!directory.exists());
        tell(units.path(), "/setlet/pod1-2", "").expect("no slice");
        let left = fs::read_dir(units.path()).expect("a list").count();
        assert_eq!(left, 0);
    }
}
