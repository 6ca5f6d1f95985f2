//! What can go wrong between the agent and the runtime's streaming server. Nothing here has the
//! path of an address in it: that is a token.

use std::io;
use std::net::SocketAddr;

use hyper::StatusCode;

use super::super::Error;

/// Why a command's streams could not be had, or ended before it did.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The runtime did not prepare the command.
    #[error("{}", .0.line())]
    Exec(#[from] Error),
    /// What the runtime answered is no address.
    #[error("the runtime's streaming server has an address that is not understood")]
    Address,
    /// The runtime's streaming server speaks TLS.
    #[error(
        "the runtime's streaming server wants TLS, which is not spoken; \
         set enable_tls_streaming = false in containerd's configuration"
    )]
    Tls,
    /// The runtime's streaming server is somewhere else.
    #[error(
        "the runtime's streaming server is at {host}, not on the loopback address; \
         set stream_server_address = \"127.0.0.1\" in containerd's configuration"
    )]
    NotLoopback {
        /// Where it is.
        host: String,
    },
    /// The streaming server cannot be reached.
    #[error("cannot reach the runtime's streaming server at {address}: {source}")]
    Connect {
        /// Where it should be.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The streaming server's answer was none, or not HTTP.
    #[error("the runtime's streaming server does not answer as one: {0}")]
    Http(#[from] hyper::Error),
    /// The streaming server refused to speak SPDY, or the token.
    #[error("the runtime's streaming server refuses the command with HTTP status {0}")]
    Refused(StatusCode),
    /// The streaming server speaks an older protocol.
    #[error("the runtime's streaming server does not speak v4.channel.k8s.io")]
    Protocol,
    /// The streaming server took too long.
    #[error("the runtime's streaming server gave no answer within {} s", super::DEADLINE.as_secs())]
    Slow,
    /// The streams ended before the command's status came.
    #[error("the runtime broke off the command's streams: {0}")]
    BrokenOff(#[source] io::Error),
    /// A frame that SPDY/3.1 does not have.
    #[error("the runtime's streaming server sent what is no SPDY/3.1 frame")]
    Frame,
}
