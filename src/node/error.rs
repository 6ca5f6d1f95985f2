//! What can go wrong when the machine is asked.

use std::io;
use std::path::PathBuf;

/// Why a fact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not tell the hostname.
    #[error("cannot read the hostname: {source}")]
    Hostname {
        /// Why.
        source: nix::errno::Errno,
    },
    /// The hostname cannot name a node.
    #[error(
        "the hostname {hostname:?} cannot be the node's name, which has lower case letters, \
             digits, '-' and '.' only; set nodeName in the configuration"
    )]
    BadName {
        /// The hostname.
        hostname: String,
    },
    /// The kernel does not tell how much memory or how many processors there are.
    #[error("cannot read the machine's {what} from /proc")]
    Capacity {
        /// `memory` or `processors`.
        what: &'static str,
    },
    /// The kernel's account of the machine cannot be read.
    #[error("cannot read the machine's memory and processors: {source}")]
    System {
        /// Why.
        source: sysinfo::Error,
    },
    /// The running processes cannot be listed.
    #[error("cannot list processes in {path}: {source}", path = path.display())]
    Processes {
        /// `/proc`.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The sockets of this machine cannot be listed.
    #[error("cannot list sockets in {path}: {source}", path = path.display())]
    Sockets {
        /// The kernel's list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
