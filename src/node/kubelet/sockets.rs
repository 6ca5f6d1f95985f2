//! Who is connected to a unix socket, as the kernel tells it (sock_diag(7), `linux/unix_diag.h`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use nix::sys::stat::{major, minor};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR`, `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Only sockets that are connected (`TCP_ESTABLISHED`).
const ESTABLISHED: u32 = 1 << 1;
/// `UDIAG_SHOW_VFS | UDIAG_SHOW_PEER`.
const SHOW: u32 = 2 | 4;
/// `UNIX_DIAG_VFS`, `UNIX_DIAG_PEER`.
const VFS: u16 = 1;
const PEER: u16 = 2;
/// Lengths of `nlmsghdr`, and of `unix_diag_msg`.
const HEADER: usize = 16;
const MESSAGE: usize = 16;
/// The kernel's messages come in pieces of no more than this.
const BUFFER: usize = 64 << 10;

/// The inode numbers of the sockets that are connected to the one at a path.
pub(super) fn clients(path: &Path) -> io::Result<BTreeSet<u32>> {
    let metadata = fs::metadata(path)?;
    // As the kernel numbers devices within.
    let device = (major(metadata.dev()) << 20) | minor(metadata.dev());
    // The kernel tells the lower half of the inode's number.
    let wanted = (metadata.ino() & 0xffff_ffff, device);
    let mut clients = BTreeSet::new();
    each(&mut |bound, peer| {
        if bound == Some(wanted)
            && let Some(peer) = peer
        {
            clients.insert(peer);
        }
    })?;
    Ok(clients)
}

/// Whether a process has one of these sockets open; `directory` is its directory in procfs.
pub(super) fn has_one(directory: &Path, sockets: &BTreeSet<u32>) -> bool {
    let open = fs::read_dir(directory.join("fd"));
    open.into_iter().flatten().flatten().any(|entry| {
        let to = fs::read_link(entry.path()).unwrap_or_default();
        let number = to.to_str().and_then(|to| to.strip_prefix("socket:["));
        let number = number.and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        number.is_some_and(|number| sockets.contains(&number))
    })
}

/// Tells of each connected socket the file it is bound to (inode and device) and its peer.
fn each(take: &mut dyn FnMut(Option<(u64, u64)>, Option<u32>)) -> io::Result<()> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    send(kernel.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while rest.len() >= HEADER {
            let length = word(rest, 0) as usize;
            match short(rest, 4) {
                DONE => return Ok(()),
                ERROR => return Err(io::Error::other("the kernel does not tell of sockets")),
                _ => {}
            }
            if length < HEADER || length > rest.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let attributes = rest.get(HEADER + MESSAGE..length).unwrap_or_default();
            let (bound, peer) = attributes_of(attributes);
            take(bound, peer);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// `nlmsghdr` and `unix_diag_req`.
fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    // AF_UNIX, of every protocol.
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(ESTABLISHED.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(SHOW.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn attributes_of(mut rest: &[u8]) -> (Option<(u64, u64)>, Option<u32>) {
    let (mut bound, mut peer) = (None, None);
    while rest.len() >= 4 {
        let length = usize::from(short(rest, 0));
        if length < 4 || length > rest.len() {
            break;
        }
        match (short(rest, 2), length) {
            (VFS, 12) => bound = Some((u64::from(word(rest, 4)), u64::from(word(rest, 8)))),
            (PEER, 8) => peer = Some(word(rest, 4)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    (bound, peer)
}

/// A number in the machine's order; 0 past the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_ne_bytes)
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn who_is_connected_is_known() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let this = Path::new("/proc/self");
        assert!(!has_one(this, &clients(&path).expect("told")));
        let client = UnixStream::connect(&path).expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        let told = clients(&path).expect("told");
        assert_eq!(told.len(), 1);
        assert!(has_one(this, &told));
        assert!(!has_one(Path::new("/proc/1"), &told));
        drop((client, server));
        assert!(clients(&path).expect("told").is_empty());
    }
}
