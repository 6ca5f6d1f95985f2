//! What the agent costs beside the calls that it makes: side by side with the same raw CRI calls in
//! one run, as ratios, and memory and processor time of its own. `make bench` runs it.
//!
//! Starts and destroys a containerd of its own (`SETLET_TEST_CONTAINERD=DIR` takes it from DIR), and
//! runs the release binary. It judges nothing: it prints a table, and which figures miss their
//! target. `cargo bench --bench node -- PART…` runs some parts only: `latency`, `fifty`,
//! `probed`, `many`, `updates`.
//! What is measured and what was seen is in `docs/benchmarks.md`.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench reads clocks and writes files as it likes"
)]

mod events;
mod fifty;
#[allow(dead_code, reason = "the bench uses the part that it needs")]
mod harness;
#[path = "../../tests/node/image.rs"]
#[allow(dead_code, reason = "the bench uses the part that it needs")]
mod image;
mod latency;
mod many;
mod probed;
mod process;
mod raw;
#[path = "../../tests/node/set.rs"]
#[allow(dead_code, reason = "the bench uses the part that it needs")]
mod set;
mod table;
mod updates;

use std::sync::Arc;

use harness::Containerd;
use table::Table;

/// A part of the bench: what it is called, and what it does.
type Part = (&'static str, fn(&Arc<Containerd>, &mut Table));

const PARTS: [Part; 5] = [
    ("latency", latency::measure),
    ("fifty", fifty::measure),
    ("probed", probed::measure),
    ("many", many::measure),
    ("updates", updates::measure),
];

fn main() {
    harness::containerd::destroy_on_signal();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let containerd = Arc::new(Containerd::launch());
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            eprintln!("{name} …");
            measure(&containerd, &mut table);
        }
    }
    drop(containerd);
    print!("{table}");
}
