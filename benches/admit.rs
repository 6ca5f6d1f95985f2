//! How long 10,000 documents take from text to admitted objects, in one thread.
//!
//! The recorded examples are read again and again until there are enough of them.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use serde_json::Value;
use setlet::api;

const DOCUMENTS: usize = 10_000;

fn main() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/daemonset-api/examples.json"
    );
    let data = std::fs::read(path).expect("the recorded examples are there");
    let cases: Vec<Value> = serde_json::from_slice(&data).expect("they are JSON");
    let texts: Vec<String> = cases
        .iter()
        .filter_map(|case| match case["inputYaml"].as_str() {
            Some(text) => Some(text.to_owned()),
            None => serde_yaml::to_string(&case["input"]).ok(),
        })
        .collect();
    let mut bytes = 0;
    let mut admitted = 0;
    let start = Instant::now();
    for text in texts.iter().cycle().take(DOCUMENTS) {
        bytes += text.len();
        admitted += api::admit("bench.yaml", text.as_bytes())
            .iter()
            .filter(|r| r.is_ok())
            .count();
    }
    let took = start.elapsed();
    let each = took / u32::try_from(DOCUMENTS).unwrap_or(1);
    println!(
        "{DOCUMENTS} documents, {bytes} bytes, {admitted} admitted: {took:.2?}, {each:.1?} each"
    );
}
