//! The node suite's harness, as the bench needs it: a containerd of its own and an agent on it.

#[path = "../../tests/node/harness/agent.rs"]
pub mod agent;
#[path = "../../tests/node/harness/containerd.rs"]
pub mod containerd;
#[path = "../../tests/node/harness/foreign.rs"]
pub mod foreign;
#[path = "../../tests/node/harness/proxy.rs"]
pub mod proxy;
#[path = "../../tests/node/harness/wait.rs"]
pub mod wait;

pub use agent::Agent;
pub use containerd::Containerd;
pub use wait::wait_for;
