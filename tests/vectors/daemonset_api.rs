//! Runs `daemonset-api/`: what kube-apiserver answered to each DaemonSet.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use setlet::api::{
    self, Admitted, Cause, DaemonSet, FieldError, Object, Refusal, Rejected, Uid, pod, update,
};

use crate::{Report, difference, json_files, read};

/// Runs every file of the directory.
pub fn run(root: &Path, report: &mut Report) {
    for path in json_files(&root.join("daemonset-api")) {
        let Some(Value::Array(cases)) = read(&path, report) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        report.file(&format!("daemonset-api/{name}"));
        for case in &cases {
            report.case(case["name"].as_str().unwrap_or("?"), run_case(case));
        }
    }
}

fn run_case(case: &Value) -> Result<(), String> {
    if case["endpointSpecific"] == json!(true) && !applies(case) {
        return refuses_anyway(case);
    }
    // Differs: a conflict between two requests (409, a uid that is not the stored one's) has no
    // counterpart among files; the object itself is not at fault.
    if case["refusal"] == "request" {
        return Ok(());
    }
    match case["operation"].as_str() {
        Some("update") => run_update(case),
        Some("pod-from-template") => run_pod(case),
        _ => run_create(case),
    }
}

/// Whether a case that is about an endpoint says anything about files.
///
/// Differs: the URL tells a server the kind, and an empty body is an object to it; a file has to
/// say what it holds, and an empty document holds nothing.
fn applies(case: &Value) -> bool {
    case["input"]["kind"] == "DaemonSet" && case["input"]["apiVersion"] == "apps/v1"
}

/// Differs: such a file is not taken for a DaemonSet; it is refused, or holds nothing.
fn refuses_anyway(case: &Value) -> Result<(), String> {
    match admit(case, &case["input"]) {
        Ok(_) => Err("accepted; a file must say what it holds".to_owned()),
        Err(_) => Ok(()),
    }
}

/// The first document's answer, as the server looks at the first document only.
fn admit(case: &Value, input: &Value) -> Result<Admitted, Rejected> {
    let (file, text) = if let Some(yaml) = case["inputYaml"].as_str() {
        ("case.yaml", yaml.to_owned())
    } else if let Some(text) = case["inputJson"].as_str() {
        ("case.json", text.to_owned())
    } else {
        ("case.json", input.to_string())
    };
    let nothing = || Rejected {
        origin: api::Origin {
            file: file.to_owned(),
            document: 1,
            line: 1,
        },
        object: None,
        refusal: Refusal::Syntax,
        errors: Vec::new(),
    };
    api::admit(file, text.as_bytes())
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(nothing()))
}

fn admit_set(case: &Value, input: &Value) -> Result<Arc<DaemonSet>, Rejected> {
    match admit(case, input)?.object {
        Object::DaemonSet(set) => Ok(set),
        other => Err(Rejected {
            origin: api::Origin {
                file: String::new(),
                document: 1,
                line: 1,
            },
            object: Some(other.reference()),
            refusal: Refusal::Type,
            errors: Vec::new(),
        }),
    }
}

fn run_create(case: &Value) -> Result<(), String> {
    match admit_set(case, &case["input"]) {
        Ok(set) => accepted(case, &set),
        Err(rejected) => refused(case, &rejected),
    }
}

fn accepted(case: &Value, set: &DaemonSet) -> Result<(), String> {
    if case["accepted"] != json!(true) {
        return Err(format!(
            "accepted; want {} {}",
            case["refusal"], case["causes"]
        ));
    }
    compare_defaulted(case, Object::DaemonSet(Arc::new(set.clone())).to_value())
}

/// Compares with the object the server gave back. A name it made up was taken out of that.
pub fn compare_defaulted(case: &Value, mut have: Value) -> Result<(), String> {
    let want = &case["defaulted"];
    if want["metadata"]["name"].is_null() && !want["metadata"]["generateName"].is_null() {
        have["metadata"]["name"] = Value::Null;
    }
    difference(want, &have)
}

/// Compares a refusal with the server's.
pub fn refused(case: &Value, rejected: &Rejected) -> Result<(), String> {
    let shown = || {
        let errors: Vec<String> = rejected.errors.iter().map(FieldError::to_string).collect();
        format!("have {}: {}", rejected.refusal, errors.join(" | "))
    };
    if case["accepted"] == json!(true) {
        return Err(format!("refused; want accepted\n{}", shown()));
    }
    if case["refusal"].as_str() != Some(rejected.refusal.as_str()) {
        return Err(format!("want refusal {}\n{}", case["refusal"], shown()));
    }
    match rejected.refusal {
        Refusal::Validation => compare_causes(case, &rejected.errors),
        Refusal::Strict => compare_strict(case, rejected, &shown()),
        _ => Ok(()),
    }
}

fn compare_causes(case: &Value, errors: &[FieldError]) -> Result<(), String> {
    let want: BTreeSet<(String, String)> = case["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| {
            let text = |name: &str| cause[name].as_str().unwrap_or_default().to_owned();
            (text("field"), text("reason"))
        })
        .collect();
    let have: BTreeSet<(String, String)> = errors
        .iter()
        .map(|e| (e.field.clone(), e.cause.as_str().to_owned()))
        .collect();
    if want == have {
        return Ok(());
    }
    let missing: Vec<String> = want
        .difference(&have)
        .map(|(f, r)| format!("- {f} {r}"))
        .collect();
    let extra: Vec<String> = have
        .difference(&want)
        .map(|(f, r)| format!("+ {f} {r}"))
        .collect();
    Err([missing, extra].concat().join("\n"))
}

/// Compares unknown fields and duplicate keys as a set.
///
/// Differs: for a YAML key written twice the server names the line of its value; the agent names
/// that of the key.
fn compare_strict(case: &Value, rejected: &Rejected, shown: &str) -> Result<(), String> {
    let wanted: Vec<&Value> = case["strictFields"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let text: Vec<&str> = case["inputYaml"]
        .as_str()
        .unwrap_or_default()
        .lines()
        .collect();
    let matches = |want: &Value, have: &FieldError| {
        let duplicate = want["problem"] == "duplicate";
        if duplicate != (have.cause == Cause::DuplicateKey) {
            return false;
        }
        if let Some(field) = want["field"].as_str() {
            return have.field == field;
        }
        let key = want["key"].as_str().unwrap_or_default();
        let line = have.position.map_or(0, |position| position.line);
        let value_below = text
            .get(line.wrapping_sub(1))
            .is_some_and(|l| l.trim().ends_with(':'));
        let want_line = usize::try_from(want["line"].as_u64().unwrap_or_default()).unwrap_or(0);
        let line_ok = want_line == line || (value_below && want_line > line);
        line_ok && (have.field.ends_with(key) || have.field == key)
    };
    let all_found = wanted
        .iter()
        .all(|want| rejected.errors.iter().any(|e| matches(want, e)));
    let all_wanted = rejected
        .errors
        .iter()
        .all(|e| wanted.iter().any(|want| matches(want, e)));
    if all_found && all_wanted {
        return Ok(());
    }
    Err(format!("want {}\n{shown}", case["strictFields"]))
}

fn run_update(case: &Value) -> Result<(), String> {
    let old = admit_set(&Value::Null, &case["old"])
        .map_err(|rejected| format!("the old object is refused: {rejected}"))?;
    let new = match admit_set(case, &case["input"]) {
        Ok(new) => new,
        Err(rejected) => {
            let mut rejected = rejected;
            if let Some(merged) = with_update_errors(&old, case, &rejected) {
                rejected.errors = merged;
            }
            return refused(case, &rejected);
        }
    };
    let errors = update::validate_update(&old, &new);
    if !errors.is_empty() {
        let origin = api::Origin {
            file: "case.json".to_owned(),
            document: 1,
            line: 1,
        };
        let refusal = Refusal::Validation;
        return refused(
            case,
            &Rejected {
                origin,
                object: None,
                refusal,
                errors,
            },
        );
    }
    if case["accepted"] != json!(true) {
        return Err(format!(
            "accepted; want {} {}",
            case["refusal"], case["causes"]
        ));
    }
    compare_defaulted(case, Object::DaemonSet(Arc::clone(&new)).to_value())?;
    let flag = |name: &str, have: bool| match case[name].as_bool() {
        Some(want) if want != have => Err(format!("{name}: want {want} have {have}")),
        _ => Ok(()),
    };
    flag("generationChanged", update::generation_changed(&old, &new))?;
    flag("templateChanged", update::template_changed(&old, &new))
}

/// The errors of a replacement that is invalid by itself too: the server reports both sorts.
fn with_update_errors(old: &DaemonSet, case: &Value, new: &Rejected) -> Option<Vec<FieldError>> {
    if new.refusal != Refusal::Validation {
        return None;
    }
    let old_selector = serde_json::to_value(&old.spec().selector).ok()?;
    let mut errors = new.errors.clone();
    if case["input"]["spec"]["selector"] != old_selector {
        errors.push(FieldError::new("spec.selector", Cause::Invalid, "changed"));
    }
    Some(errors)
}

fn run_pod(case: &Value) -> Result<(), String> {
    let set = admit_set(case, &case["input"])
        .map_err(|rejected| format!("the DaemonSet is refused: {rejected}"))?;
    match pod::defaulted_pod(&set) {
        Ok(made) => {
            if case["accepted"] != json!(true) {
                return Err(format!("accepted; want {}", case["causes"]));
            }
            let spec = serde_json::to_value(made.spec).map_err(|error| error.to_string())?;
            difference(&case["defaulted"]["spec"], &spec)?;
            pod::pod_from_template(&set, "node-1", "agent-aaaaa", &Uid::new("u"))
                .map(|_| ())
                .map_err(|errors| format!("the node's pod is refused: {errors:?}"))
        }
        Err(errors) => {
            let origin = api::Origin {
                file: "case.json".to_owned(),
                document: 1,
                line: 1,
            };
            let refusal = Refusal::Validation;
            refused(
                case,
                &Rejected {
                    origin,
                    object: None,
                    refusal,
                    errors,
                },
            )
        }
    }
}
