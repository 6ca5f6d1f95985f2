//! Keeps systemd from stopping pods by itself when it stops the machine.
//!
//! Under the systemd driver a pod's cgroup is a slice that systemd makes on its own. Such a slice
//! conflicts with `shutdown.target`, so that all pods were stopped at once, before the agent could
//! stop them in order. Drop-ins of systemd's run-time directory take that from the agent's slices
//! (systemd.unit(5): `setlet-.slice.d` is read for every slice below `setlet.slice`); they are gone
//! with the next boot and made again. What the agent does not stop is killed at the very end.

use std::fs;
use std::io;
use std::path::Path;

use super::translate::cgroup::slice_of;

/// Where systemd reads units that last until the next boot.
pub const RUN_TIME_UNITS: &str = "/run/systemd/system";
const DROP_IN: &str = "50-setlet.conf";
const TEXT: &str = "[Unit]\nDefaultDependencies=no\n";

/// Makes the drop-ins below `units` for the slice of the cgroup `root` and those below it, before the
/// first of them is made.
///
/// # Errors
///
/// When they cannot be written.
#[expect(
    clippy::disallowed_methods,
    reason = "in memory, and half a drop-in is written whole by the next start"
)]
pub fn keep_from_shutdown(units: &Path, root: &str) -> io::Result<()> {
    let Some(slice) = slice_of(root) else {
        return Ok(());
    };
    for of in [format!("{slice}.slice.d"), format!("{slice}-.slice.d")] {
        let directory = units.join(of);
        fs::create_dir_all(&directory)?;
        let path = directory.join(DROP_IN);
        if fs::read(&path).ok().as_deref() != Some(TEXT.as_bytes()) {
            fs::write(path, TEXT)?;
        }
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
    }
}
