//! The notes that the runtime's CNI library keeps of pods' networks, where they were lost.
//!
//! libcni writes what ADD answered to `results/NETWORK-CONTAINER-INTERFACE` below `/var/lib/cni`, a
//! directory that containerd does not let one choose, and reads it back for DEL. A power cut leaves
//! such a file empty, and DEL then fails for good: the sandbox cannot be stopped nor removed, and its
//! address stays leased. Without the file DEL goes on, as libcni means it to. So a note that says
//! nothing is taken away, of a sandbox that is ours by its id in the file's name, and only after the
//! runtime could not end that sandbox. The [`leases`] are looked after likewise.

mod configured;
mod end;
mod leases;
mod told;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::blocking::Progress;
use crate::files::{self, Links};
use crate::model::SandboxId;

/// Where libcni keeps its notes.
const RESULTS: &str = "/var/lib/cni/results";
/// No note is longer; one of a usual network has 2 KiB.
const LONGEST: u64 = 1 << 20;

/// Takes away the notes of a sandbox that cannot be read as what libcni wrote; returns which those
/// were. What is no regular file, or longer than a note, is left.
///
/// # Errors
///
/// When the notes cannot be listed or one of them not be read or removed; or it was asked to stop.
fn forget_lost(results: &Path, sandbox: &SandboxId, on: &Progress) -> io::Result<Vec<PathBuf>> {
    let mut forgotten = Vec::new();
    if !is_whole_id(&sandbox.0) {
        return Ok(forgotten);
    }
    on.begin(results.display().to_string())?;
    let entries = match fs::read_dir(results) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(forgotten),
        entries => entries?,
    };
    let of_sandbox = format!("-{}-", sandbox.0);
    for entry in entries {
        on.step()?;
        let entry = entry?;
        let is_named = entry.file_name().to_string_lossy().contains(&of_sandbox);
        if !is_named || !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        if is_lost(&path)? {
            fs::remove_file(&path)?;
            warn!(note = %path.display(), "the note of a pod's network was lost, it is taken away");
            forgotten.push(path);
        }
    }
    Ok(forgotten)
}

/// Whether an id is one that only one sandbox has: containerd's have 64 hexadecimal digits.
fn is_whole_id(id: &str) -> bool {
    id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a note is not the JSON object that libcni writes.
fn is_lost(path: &Path) -> io::Result<bool> {
    let mut file = files::open(path, Links::Refuse)?;
    let text = match files::read_all(&mut file, LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(false),
        text => text?,
    };
    let note = serde_json::from_slice::<serde_json::Value>(&text);
    Ok(!note.is_ok_and(|note| note.is_object()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(path: &Path, text: &[u8]) {
        let mut file = fs::File::create(path).expect("a file");
        file.write_all(text).expect("written");
    }

    #[test]
    fn only_lost_notes_of_the_sandbox_are_taken_away() {
        let results = tempfile::tempdir().expect("a directory");
        let (ours, other) = ("a1".repeat(32), "b2".repeat(32));
        let at = |name: &str| results.path().join(name);
        let empty = at(&format!("net-{ours}-eth0"));
        let torn = at(&format!("my-net-{ours}-net1"));
        let zeros = at(&format!("net-{ours}-eth9"));
        put(&empty, b"");
        put(&torn, br#"{"kind":"cniCacheV1","conta"#);
        put(&zeros, &[0; 512]);
        let whole = at(&format!("net-{ours}-eth1"));
        put(&whole, br#"{"kind":"cniCacheV1"}"#);
        let foreign = at(&format!("net-{other}-eth0"));
        put(&foreign, b"");
        let elsewhere = at("elsewhere");
        put(&elsewhere, b"");
        let link = at(&format!("net-{ours}-eth2"));
        symlink(&elsewhere, &link).expect("a link");
        let pipe = at(&format!("net-{ours}-eth3"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
        fs::create_dir(at(&format!("net-{ours}-eth4"))).expect("a directory");

        let sandbox = SandboxId(ours);
        let mut gone =
            forget_lost(results.path(), &sandbox, &Progress::default()).expect("looked at");
        gone.sort();
        let mut lost = [empty, torn, zeros];
        lost.sort();
        assert_eq!(gone, lost);
        for left in [&whole, &foreign, &elsewhere, &link, &pipe] {
            assert!(left.symlink_metadata().is_ok(), "{}", left.display());
        }
        assert!(lost.iter().all(|path| !path.exists()));
    }

    #[test]
    fn no_sandbox_is_taken_for_many() {
        let results = tempfile::tempdir().expect("a directory");
        put(&results.path().join("net-a-eth0"), b"");
        for id in ["", "a", "../a"] {
            let sandbox = SandboxId(id.to_owned());
            let gone =
                forget_lost(results.path(), &sandbox, &Progress::default()).expect("looked at");
            assert_eq!(gone, Vec::<PathBuf>::new(), "{id}");
        }
        let (none, sandbox) = (results.path().join("none"), SandboxId("a1".repeat(32)));
        let none = forget_lost(&none, &sandbox, &Progress::default());
        assert!(none.expect("nothing is there").is_empty());
    }
}
