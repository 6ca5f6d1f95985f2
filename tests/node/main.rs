//! The node suite: runs the real agent against a real containerd that it starts for itself.
//!
//! Each topic is a module with a `register` function that adds its trials to the [`suite::Suite`].
//! It follows Kubernetes only where a topic says so; here nothing is decided. It needs root and
//! what `tests/node/setup.sh` installs, and fails when something is missing: it never skips.
//!
//! `cargo test --test node -- [FILTER]` runs it; `SETLET_TEST_CONTAINERD=DIR` takes containerd
//! from DIR (see `fetch-containerd.sh`), `SETLET_TEST_TRIALS=runtime` leaves out the topics that do
//! not depend on the runtime, and `SETLET_TEST_KUBECTL=PROGRAM` adds the trial of `kubectl exec`,
//! for which kubectl must be 1.31 or later.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads clocks and writes files as it likes"
)]

mod bad_input;
mod bed;
mod cgroups;
mod clock;
mod crash_points;
mod crashes;
mod environment;
mod events;
mod events_missed;
mod eviction;
mod evidence;
mod exec;
mod failures;
#[allow(dead_code, reason = "each topic uses the part that it needs")]
mod harness;
mod health;
mod hooks;
mod host_paths;
mod hung;
#[allow(dead_code, reason = "each topic uses the part that it needs")]
mod image;
mod images;
mod in_place;
mod lifecycle;
mod logs;
mod logs_trouble;
mod many;
mod names;
mod network;
mod order;
mod probes;
mod pulls;
mod purge;
mod registries;
mod rollback;
mod rollout;
mod security;
mod service;
#[allow(dead_code, reason = "each topic uses the part that it needs")]
mod set;
mod shutdown;
mod state_disk;
mod suite;
mod survival;
mod user_namespaces;
mod volumes;
mod web;

use std::process::ExitCode;

use suite::Depends::{OnAgentAlone, OnRuntime};

fn main() -> ExitCode {
    // Files that a group can write are refused: the umask must not decide about the trials.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let mut suite = suite::Suite::new();
    suite.topic(OnRuntime, bed::register);
    suite.topic(OnRuntime, lifecycle::register);
    suite.topic(OnRuntime, crashes::register);
    suite.topic(OnRuntime, cgroups::register);
    suite.topic(OnRuntime, survival::register);
    suite.topic(OnRuntime, crash_points::register);
    suite.topic(OnAgentAlone, bad_input::register);
    suite.topic(OnAgentAlone, host_paths::register);
    suite.topic(OnAgentAlone, hung::register);
    suite.topic(OnAgentAlone, clock::register);
    suite.topic(OnAgentAlone, service::register);
    suite.topic(OnRuntime, logs::register);
    suite.topic(OnRuntime, logs_trouble::register);
    suite.topic(OnAgentAlone, many::register);
    suite.topic(OnRuntime, network::register);
    suite.topic(OnRuntime, events_missed::register);
    suite.topic(OnRuntime, environment::register);
    suite.topic(OnRuntime, user_namespaces::register);
    suite.topic(OnRuntime, volumes::register);
    suite.topic(OnRuntime, security::register);
    suite.topic(OnAgentAlone, order::register);
    suite.topic(OnRuntime, shutdown::register);
    suite.topic(OnRuntime, failures::register);
    suite.topic(OnRuntime, names::register);
    suite.topic(OnAgentAlone, state_disk::register);
    suite.topic(OnAgentAlone, hooks::register);
    suite.topic(OnRuntime, probes::register);
    suite.topic(OnRuntime, images::register);
    suite.topic(OnRuntime, registries::register);
    suite.topic(OnAgentAlone, rollout::register);
    suite.topic(OnRuntime, in_place::register);
    suite.topic(OnAgentAlone, rollback::register);
    suite.topic(OnRuntime, exec::register);
    suite.topic(OnRuntime, pulls::register);
    suite.topic(OnRuntime, purge::register);
    suite.topic(OnRuntime, events::register);
    suite.topic(OnAgentAlone, eviction::register);
    suite.run()
}
