//! What keeps the agent from starting. Once it runs, troubles are states with reasons, not errors.

use std::io;
use std::path::PathBuf;

use crate::{config, node, runtime, server, store};

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// What the node is.
    #[error(transparent)]
    Node(#[from] node::Error),
    /// The state directory.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The runtime's endpoint.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] server::BindError),
    /// A kubelet would remove every pod the agent makes.
    #[error("{0}")]
    Kubelet(String),
    /// Signals cannot be heard.
    #[error("signals cannot be heard")]
    Signals(#[source] io::Error),
    /// A task of the agent panicked; the service manager starts the agent again.
    #[error("a task of the agent failed")]
    Task(#[source] tokio::task::JoinError),
    /// A directory of the agent cannot be made.
    #[error("cannot make the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
