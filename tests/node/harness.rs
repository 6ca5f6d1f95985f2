//! What trials are made with: a containerd of their own ([`containerd`]), agents on it ([`agent`]),
//! pods of somebody else ([`foreign`]), registries with manners ([`mirror`]), faults between an agent
//! and containerd ([`proxy`]), and waiting with a clear end ([`wait`]).
//!
//! It asserts nothing about the agent and knows it only as a user does: its configuration file,
//! manifests, command line, socket, and what containerd then runs.

pub mod agent;
pub mod containerd;
pub mod foreign;
pub mod mirror;
pub mod proxy;
pub mod wait;

#[allow(unused_imports, reason = "each topic uses the part that it needs")]
pub use agent::Agent;
#[allow(unused_imports, reason = "each topic uses the part that it needs")]
pub use containerd::{Container, Containerd};
pub use wait::wait_for;
