//! The host's resolver configuration: kubelet's `resolvConf`, and what lies behind a local stub.
//!
//! A stub listens on a loopback address, which is another one in a pod. kubeadm gives kubelet
//! systemd-resolved's own file where that runs (cmd/kubeadm/app/componentconfigs/kubelet.go); here the
//! file that is meant is found by itself, at each reading.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::files;
use crate::model::Reason;
use crate::runtime::translate::dns::ResolvConf;

/// The file for which a stub is looked through. Any other is what its owner means.
const SYSTEM: &str = "/etc/resolv.conf";
/// Where those who run stubs write down the servers these ask: systemd-resolved, NetworkManager.
const BEHIND: &[&str] = &[
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// Reads what a setting names; nothing where it is empty.
///
/// # Errors
/// The file cannot be read. The system's own may be missing: such a host resolves nothing, and
/// neither do its pods.
pub(super) fn read(path: &Path) -> io::Result<ResolvConf> {
    if path.as_os_str().is_empty() {
        return Ok(ResolvConf::default());
    }
    if path != Path::new(SYSTEM) {
        return parse(path);
    }
    through(path, &BEHIND.iter().map(Path::new).collect::<Vec<_>>()).map(|(found, _)| found)
}

/// What should be known of a setting: that pods cannot reach the resolver it names.
#[must_use]
pub fn doubt(path: &Path) -> Option<Reason> {
    if path != Path::new(SYSTEM) {
        return None;
    }
    let behind: Vec<&Path> = BEHIND.iter().map(Path::new).collect();
    let (_, stub) = through(path, &behind).ok()?;
    stub.then(|| {
        let message = format!(
            "{SYSTEM} names only a resolver on a loopback address, which pods outside the host network \
             cannot reach, and none of {} says which servers it asks; set resolvConf to a file that \
             names them",
            BEHIND.join(", ")
        );
        Reason::new("LocalResolver", message)
    })
}

/// What a file says, or the first that lies behind it where it names a local stub; and whether it
/// does, with nothing behind.
fn through(path: &Path, behind: &[&Path]) -> io::Result<(ResolvConf, bool)> {
    let named = match parse(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => ResolvConf::default(),
        named => named?,
    };
    if !named.servers.iter().any(|server| is_local(server)) {
        return Ok((named, false));
    }
    // Its search domains and options are the same.
    let usable = |found: &ResolvConf| {
        !found.servers.is_empty() && !found.servers.iter().any(|server| is_local(server))
    };
    let mut files = behind.iter().filter_map(|path| parse(path).ok());
    match files.find(usable) {
        Some(found) => Ok((found, false)),
        None => {
            let only = named.servers.iter().all(|server| is_local(server));
            Ok((named, only))
        }
    }
}

/// Whether a server is on a loopback address.
fn is_local(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or_default();
    let address = address.parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn parse(path: &Path) -> io::Result<ResolvConf> {
    let bytes = files::read(path, files::CONFIGURATION)?;
    Ok(ResolvConf::parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_stub_is_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            #[expect(clippy::disallowed_methods, reason = "a test writes files as it likes")]
            std::fs::write(path(name), text).expect("written");
        };
        let (etc, resolved, manager) = (path("etc"), path("resolved"), path("manager"));
        let behind = [resolved.as_path(), manager.as_path()];
        let servers = || {
            let (found, stub) = through(&etc, &behind).expect("read");
            (found.servers, found.searches, stub)
        };
        let is = |servers: &[&str], searches: &[&str], stub| {
            let texts = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
            (texts(servers), texts(searches), stub)
        };
        assert_eq!(servers(), is(&[], &[], false), "none is there");
        write("etc", "nameserver 127.0.0.53\noptions edns0\nsearch a\n");
        assert_eq!(servers(), is(&["127.0.0.53"], &["a"], true));
        write("manager", "nameserver 192.0.2.1\n");
        assert_eq!(servers(), is(&["192.0.2.1"], &[], false));
        write("resolved", "# none yet\n");
        assert_eq!(servers(), is(&["192.0.2.1"], &[], false));
        write(
            "resolved",
            "nameserver 192.0.2.2\nnameserver 2001:db8::1\nsearch b\n",
        );
        assert_eq!(servers(), is(&["192.0.2.2", "2001:db8::1"], &["b"], false));
        write("etc", "nameserver ::1\n");
        assert_eq!(servers(), is(&["192.0.2.2", "2001:db8::1"], &["b"], false));
        write("etc", "nameserver 192.0.2.3\n");
        assert_eq!(servers(), is(&["192.0.2.3"], &[], false));
        write("resolved", "nameserver 127.0.0.1\n");
        std::fs::remove_file(&manager).expect("removed");
        write("etc", "nameserver 127.0.0.1\nnameserver 192.0.2.3\n");
        assert_eq!(servers(), is(&["127.0.0.1", "192.0.2.3"], &[], false));
        // What is named is read as it is, and must be there.
        assert_eq!(read(&resolved).expect("read").servers, ["127.0.0.1"]);
        assert!(read(&path("none")).is_err());
        assert_eq!(read(Path::new("")).expect("none"), ResolvConf::default());
    }
}
