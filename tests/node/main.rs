//! The node suite: runs the real agent against a real containerd that it starts for itself.
//!
//! Each topic is a module with a `register` function that adds its trials to the [`suite::Suite`].
//! It follows Kubernetes only where a topic says so; here nothing is decided. It needs root and
//! what `tests/node/setup.sh` installs, and fails when something is missing: it never skips.
//!
//! `cargo test --test node -- [FILTER]` runs it; `SETLET_TEST_CONTAINERD=DIR` takes containerd
//! from DIR (see `fetch-containerd.sh`), and `SETLET_TEST_KUBECTL=PROGRAM` adds the trial of
//! `kubectl exec`, for which kubectl must be 1.31 or later.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads clocks and writes files as it likes"
)]

mod bad_input;
mod bed;
mod cgroups;
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
#[allow(dead_code, reason = "each topic uses the part that it needs")]
mod image;
mod images;
mod in_place;
mod lifecycle;
mod logs;
mod logs_trouble;
mod many;
mod order;
mod probes;
mod pulls;
mod registries;
mod rollback;
mod rollout;
mod security;
mod service;
#[allow(dead_code, reason = "each topic uses the part that it needs")]
mod set;
mod shutdown;
mod suite;
mod survival;
mod user_namespaces;
mod volumes;
mod web;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = suite::Suite::new();
    bed::register(&mut suite);
    lifecycle::register(&mut suite);
    crashes::register(&mut suite);
    cgroups::register(&mut suite);
    survival::register(&mut suite);
    crash_points::register(&mut suite);
    bad_input::register(&mut suite);
    host_paths::register(&mut suite);
    service::register(&mut suite);
    logs::register(&mut suite);
    logs_trouble::register(&mut suite);
    many::register(&mut suite);
    events_missed::register(&mut suite);
    environment::register(&mut suite);
    user_namespaces::register(&mut suite);
    volumes::register(&mut suite);
    security::register(&mut suite);
    order::register(&mut suite);
    shutdown::register(&mut suite);
    failures::register(&mut suite);
    hooks::register(&mut suite);
    probes::register(&mut suite);
    images::register(&mut suite);
    registries::register(&mut suite);
    rollout::register(&mut suite);
    in_place::register(&mut suite);
    rollback::register(&mut suite);
    exec::register(&mut suite);
    pulls::register(&mut suite);
    events::register(&mut suite);
    eviction::register(&mut suite);
    suite.run()
}
