//! The leases of host-local, the usual plugin that gives pods their addresses: one file an address,
//! `NETWORK/ADDRESS`, with the sandbox's id in its first line and the interface in its second.
//!
//! A power cut may leave such a file empty. The plugin then finds no lease of the sandbox, and never
//! hands the address out again. A file is taken away only where it is known to be of a sandbox that
//! has ended: its id stands in it, or it was empty before the sandbox ended, still is, and is named as
//! the address that the runtime has recorded of that sandbox. Until that end nobody else can have
//! been given the address, because the file was there.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::blocking::Progress;
use crate::files::{self, Links};
use crate::model::SandboxId;

/// No lease is longer: an id and the name of an interface.
const LONGEST: u64 = 4096;

/// An address whose lease says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// The address.
    pub address: IpAddr,
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The leases that say nothing.
///
/// # Errors
///
/// When they cannot be listed; or it was asked to stop.
pub(super) fn lost(networks: &[PathBuf], on: &Progress) -> io::Result<Vec<Lost>> {
    let mut found = Vec::new();
    each(networks, on, |path, address| {
        let meta = path.symlink_metadata()?;
        if meta.is_file() && meta.len() == 0 {
            found.push(Lost {
                address,
                path: path.to_owned(),
                device: meta.dev(),
                inode: meta.ino(),
            });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Takes away leases that say nothing and still are what was found.
///
/// # Errors
///
/// When one cannot be removed; or it was asked to stop.
pub(super) fn give_back(lost: &[Lost], on: &Progress) -> io::Result<()> {
    for lease in lost {
        on.step()?;
        let is_same = lease.path.symlink_metadata().is_ok_and(|meta| {
            meta.len() == 0 && (meta.dev(), meta.ino()) == (lease.device, lease.inode)
        });
        if is_same {
            remove(&lease.path)?;
        }
    }
    Ok(())
}

/// Takes away every lease of a sandbox that has ended.
///
/// # Errors
///
/// When they cannot be listed, or one of them not be read or removed; or it was asked to stop.
pub(super) fn give_back_all(
    networks: &[PathBuf],
    sandbox: &SandboxId,
    on: &Progress,
) -> io::Result<()> {
    if !super::is_whole_id(&sandbox.0) {
        return Ok(());
    }
    each(networks, on, |path, _| {
        let mut file = match files::open(path, Links::Refuse) {
            // Given back meanwhile, or no lease.
            Err(_) => return Ok(()),
            Ok(file) => file,
        };
        let text = files::read_all(&mut file, LONGEST).unwrap_or_default();
        let first = text.split(|byte| matches!(byte, b'\r' | b'\n')).next();
        match first.unwrap_or_default().trim_ascii() == sandbox.0.as_bytes() {
            true => remove(path),
            false => Ok(()),
        }
    })
}

/// Looks at each file that is named as an address.
fn each(
    networks: &[PathBuf],
    on: &Progress,
    mut look: impl FnMut(&Path, IpAddr) -> io::Result<()>,
) -> io::Result<()> {
    for network in networks {
        on.begin(network.display().to_string())?;
        let entries = match fs::read_dir(network) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            on.step()?;
            let entry = entry?;
            let address = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let Some(address) = address else { continue };
            match look(&entry.path(), address) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                looked => looked?,
            }
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    warn!(lease = %path.display(), "the lease of an ended pod's address was left over, it is taken away");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A network with leases of these contents.
    fn network(leases: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().expect("a directory");
        let network = root.path().join("net");
        fs::create_dir(&network).expect("a directory");
        for (name, text) in leases {
            let mut file = fs::File::create(network.join(name)).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        }
        let networks = vec![network, root.path().join("none")];
        (root, networks)
    }

    fn names(networks: &[PathBuf]) -> Vec<String> {
        let entries = fs::read_dir(&networks[0]).expect("a list");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string())
            .map(|name| name.expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_leases_of_a_sandbox_are_told_by_its_id() {
        let (ours, other) = ("a1".repeat(32), "b2".repeat(32));
        let (_root, networks) = network(&[
            ("10.0.0.2", &format!("{ours}\r\neth0")),
            ("10.0.0.3", &format!("{other}\r\neth0")),
            ("10.0.0.4", &format!("{ours}0\r\neth0")),
            ("10.0.0.5", ""),
            ("10.0.0.6", &ours),
            ("fd00::2", &format!("{ours}\neth0")),
            ("last_reserved_ip.0", &ours),
            ("lock", ""),
        ]);
        let on = Progress::default();
        for id in ["", "a1", "b2b2"] {
            let sandbox = SandboxId(id.to_owned());
            give_back_all(&networks, &sandbox, &on).expect("looked at");
        }
        assert_eq!(names(&networks).len(), 8);
        give_back_all(&networks, &SandboxId(ours), &on).expect("given back");
        let left = [
            "10.0.0.3",
            "10.0.0.4",
            "10.0.0.5",
            "last_reserved_ip.0",
            "lock",
        ];
        assert_eq!(names(&networks), left);
    }

    #[test]
    fn an_empty_lease_is_given_back_only_while_it_is_the_one_that_was_found() {
        let (_root, networks) = network(&[
            ("10.0.0.2", ""),
            ("10.0.0.3", ""),
            ("10.0.0.4", ""),
            ("10.0.0.5", "whole"),
            ("lock", ""),
        ]);
        let on = Progress::default();
        let mut found = lost(&networks, &on).expect("looked at");
        found.sort_by_key(|lease| lease.address);
        let addresses: Vec<_> = found
            .iter()
            .map(|lease| lease.address.to_string())
            .collect();
        assert_eq!(addresses, ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        // One was given to another sandbox meanwhile, one is of another pod.
        let taken = networks[0].join("10.0.0.3");
        fs::rename(networks[0].join("10.0.0.5"), &taken).expect("renamed");
        found.retain(|lease| lease.address.to_string() != "10.0.0.4");
        give_back(&found, &on).expect("given back");
        assert_eq!(names(&networks), ["10.0.0.3", "10.0.0.4", "lock"]);
    }
}
