//! Runs manifests of other projects, read in place where they lie beside the repository.
//!
//! They are others' work and no part of this project; where they are not there, this says so.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use setlet::api::{self, Admitted, Object, Rejected};

use crate::daemonset_api::{compare_defaulted, refused};
use crate::{Report, read};

/// Runs every document that has an answer.
pub fn run(_root: &Path, report: &mut Report) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream");
    let Some(Value::Array(answers)) = read(&directory.join("answers.json"), report) else {
        println!(
            "upstream manifests: not run, {} is not there",
            directory.display()
        );
        return;
    };
    report.file("upstream");
    for answer in &answers {
        let file = answer["file"].as_str().unwrap_or_default();
        let number = answer["document"].as_u64().unwrap_or_default();
        let name = format!("{file} document {number}");
        report.case(&name, run_document(&directory.join(file), number, answer));
    }
}

fn run_document(path: &Path, number: u64, answer: &Value) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let file = path.display().to_string();
    let here = |document: usize| document as u64 == number + 1;
    let results = api::admit(&file, &text);
    let found = results.into_iter().find(|result| match result {
        Ok(admitted) => here(admitted.origin.document),
        Err(rejected) => here(rejected.origin.document),
    });
    match found {
        None => Err("the document was not found".to_owned()),
        Some(Ok(Admitted {
            object: Object::DaemonSet(set),
            ..
        })) => {
            if answer["accepted"] != Value::Bool(true) {
                return Err(format!(
                    "accepted; want {} {}",
                    answer["refusal"], answer["message"]
                ));
            }
            let mut have = Object::DaemonSet(Arc::clone(&set)).to_value();
            // The server takes the namespace from its URL where the text has none.
            have["metadata"]["namespace"] = answer["defaulted"]["metadata"]["namespace"].clone();
            compare_defaulted(answer, have)
        }
        Some(Ok(_)) => Err("is no DaemonSet".to_owned()),
        Some(Err(rejected)) => refused(answer, &rejected as &Rejected),
    }
}
