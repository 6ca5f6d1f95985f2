//! setlet: a per-node agent that runs DaemonSets through containerd, without a kubelet.
//!
//! **Facts come in as snapshots, pure functions turn facts into a plan, one worker per pod carries
//! the plan out one action at a time, and the next snapshot says whether it worked.**
//!
//! # The map
//!
//! Four layers; an arrow only points down (`tests/architecture.rs` checks it).
//!
//! - L0, vocabulary: [`api`] (Kubernetes objects as they are admitted), [`model`] (the words the
//!   layers share).
//! - L1, decisions, pure: [`eligibility`] (does a set run here), [`plan`] (what to do next for a pod
//!   or a set), [`status`] (what to tell of it).
//! - L2, effects, one outside system each: [`source`] (the manifests directory), [`node`] (this
//!   machine), [`runtime`] (CRI), [`volume`] (what pods mount), [`probe`] (whether containers are
//!   well), [`store`] (what was decided, on disk), [`server`] (the socket), [`config`], [`metrics`],
//!   [`blocking`] (the threads of file work), [`files`] (opens what others shape).
//! - L3, composition: [`agent`] (the tasks), [`cli`] (the commands).
//!
//! # The path of one DaemonSet
//!
//! A file changes; `source` reads it and [`api::admit`] decodes, defaults and validates it. `source`
//! publishes a snapshot, `node` the facts of this machine. The coordinator wakes on either, asks
//! [`eligibility::decide`] and [`plan::rollout`], writes the pods that should exist to the `store`,
//! and gives each pod's worker its wish. The worker observes the pod in the runtime, asks
//! [`plan::plan_pod`] for actions, does the first one, remembers its outcome and looks again, until
//! nothing is left to do. `status` derives what `server` and `cli` show from the same facts.

// `eprintln!` panics where nobody reads standard error: `cli::complain` does not.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]
// Whoever reckons with times says what becomes of those that have no place in the type.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod agent;
pub mod api;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod eligibility;
pub mod files;
pub mod metrics;
pub mod model;
pub mod node;
pub mod plan;
pub mod probe;
pub mod runtime;
pub mod server;
pub mod source;
pub mod status;
pub mod store;
pub mod volume;

/// The part of CRI v1 that is used, generated from `proto/cri.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
