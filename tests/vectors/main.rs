//! Runs every recorded case and says which of them come out as the reference implementations'.
//!
//! The data lies in `tests/vectors`, or where `SETLET_VECTORS` says, in directories named after
//! their topic. A directory or file that is missing is left out. The last line counts.

mod cri;
mod cri_case;
mod cri_files;
mod cri_received;
mod cri_refused;
mod cri_rules;
mod daemonset_api;
mod eligibility;
mod protobuf;
mod revisions;
mod timeline_node;
mod timeline_runtime;
mod timeline_script;
mod timeline_world;
mod timelines;
mod timelines_changed;
mod upstream;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

/// A part of the data with its runner: add yours here.
const SUITES: [fn(&Path, &mut Report); 7] = [
    cri::run,
    cri_files::run,
    daemonset_api::run,
    eligibility::run,
    revisions::run,
    timelines::run,
    upstream::run,
];

fn main() -> ExitCode {
    let root = match std::env::var_os("SETLET_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
    };
    let mut report = Report::default();
    for suite in SUITES {
        suite(&root, &mut report);
    }
    report.finish()
}

/// What came out, by file.
#[derive(Default)]
pub struct Report {
    files: Vec<File>,
}

struct File {
    name: String,
    passed: usize,
    failed: Vec<(String, String)>,
}

impl Report {
    /// Begins the cases of a file.
    pub fn file(&mut self, name: &str) {
        self.files.push(File {
            name: name.to_owned(),
            passed: 0,
            failed: Vec::new(),
        });
    }

    /// Counts a case: passed, or what was different.
    pub fn case(&mut self, name: &str, outcome: Result<(), String>) {
        if self.files.is_empty() {
            self.file("?");
        }
        let Some(file) = self.files.last_mut() else {
            return;
        };
        match outcome {
            Ok(()) => file.passed += 1,
            Err(difference) => file.failed.push((name.to_owned(), difference)),
        }
    }

    fn finish(&self) -> ExitCode {
        for file in &self.files {
            println!(
                "{}: {} passed, {} failed",
                file.name,
                file.passed,
                file.failed.len()
            );
            for (name, difference) in &file.failed {
                println!("  FAILED {name}");
                for line in difference.lines().take(12) {
                    println!("    {line}");
                }
            }
        }
        let passed: usize = self.files.iter().map(|file| file.passed).sum();
        let failed: usize = self.files.iter().map(|file| file.failed.len()).sum();
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The JSON in a file, if it is there and readable; a broken file is a failed case.
pub fn read(path: &Path, report: &mut Report) -> Option<Value> {
    let bytes = std::fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            report.file(&path.display().to_string());
            report.case("the file itself", Err(format!("is not JSON: {error}")));
            None
        }
    }
}

/// The `.json` files of a directory in the order of their names.
pub fn json_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths
}

/// The places in which two values differ, as `path: want … have …`, one a line.
pub fn difference(want: &Value, have: &Value) -> Result<(), String> {
    let mut lines = Vec::new();
    compare("", want, have, &mut lines);
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("\n"))
    }
}

fn compare(path: &str, want: &Value, have: &Value, lines: &mut Vec<String>) {
    match (want, have) {
        (Value::Object(w), Value::Object(h)) => {
            let mut keys: Vec<&String> = w.keys().chain(h.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (w, h) = (w.get(key), h.get(key));
                // A key that holds null may be absent.
                let (w, h) = (w.unwrap_or(&Value::Null), h.unwrap_or(&Value::Null));
                compare(&format!("{path}.{key}"), w, h, lines);
            }
        }
        (Value::Array(w), Value::Array(h)) if w.len() == h.len() => {
            for (index, (w, h)) in w.iter().zip(h).enumerate() {
                compare(&format!("{path}[{index}]"), w, h, lines);
            }
        }
        (w, h) if w == h => {}
        (w, h) => lines.push(format!("{path}: want {w} have {h}")),
    }
}
