//! Runs `eligibility/pods.json`, `revisions.json` and `rejected.json`: pods and revisions as the
//! DaemonSet controller makes them, and DaemonSets that never reach it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};
use setlet::api::revisions::{self, Advance};
use setlet::api::{self, DaemonSet, Object, Refusal, Revision, Uid, pod};

use crate::{Report, difference, read};

/// Runs the three files.
pub fn run(root: &Path, report: &mut Report) {
    let directory = root.join("eligibility");
    if let Some(data) = read(&directory.join("pods.json"), report) {
        report.file("eligibility/pods.json");
        for case in list(&data["cases"]) {
            report.case(name(case), run_pod(case));
        }
    }
    if let Some(data) = read(&directory.join("rejected.json"), report) {
        report.file("eligibility/rejected.json");
        for case in list(&data) {
            report.case(name(case), run_rejected(case));
        }
    }
    if let Some(data) = read(&directory.join("revisions.json"), report) {
        report.file("eligibility/revisions.json");
        run_hashes(list(&data["hashes"]), report);
        run_special(&data, report);
        for case in list(&data["histories"]) {
            report.case(name(case), run_history(case));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("?")
}

fn origin() -> api::Origin {
    api::Origin {
        file: "case.json".to_owned(),
        document: 1,
        line: 1,
    }
}

fn admit(object: &Value) -> Result<Arc<DaemonSet>, String> {
    match api::admit_value(origin(), object.clone()) {
        Ok(api::Admitted {
            object: Object::DaemonSet(set),
            ..
        }) => Ok(set),
        Ok(_) => Err("is no DaemonSet".to_owned()),
        Err(rejected) => Err(format!("refused: {rejected}")),
    }
}

fn run_pod(case: &Value) -> Result<(), String> {
    let mut stored = case["storedDaemonSet"].clone();
    stored["metadata"]["uid"] = json!("UID");
    let set = admit(&stored)?;
    let node = case["node"].as_str().unwrap_or_default();
    let pod = pod::pod_from_template(&set, node, "pod-aaaaa", &Uid::new("u"))
        .map_err(|errors| format!("{errors:?}"))?;
    let have = serde_json::to_value(&pod).map_err(|error| error.to_string())?;
    let pick = |pod: &Value, hash: &Value| {
        let mut labels = pod["metadata"]["labels"].clone();
        if &labels["controller-revision-hash"] == hash {
            labels["controller-revision-hash"] = json!("HASH");
        }
        json!({
            "labels": labels,
            "annotations": pod["metadata"]["annotations"],
            "generateName": pod["metadata"]["generateName"],
            "ownerReferences": pod["metadata"]["ownerReferences"],
            "affinity": pod["spec"]["affinity"],
            "tolerations": pod["spec"]["tolerations"],
            "priority": pod["spec"]["priority"],
            "preemptionPolicy": pod["spec"]["preemptionPolicy"],
        })
    };
    let want = pick(
        &case["pod"],
        &case["pod"]["metadata"]["labels"]["controller-revision-hash"],
    );
    difference(&want, &pick(&have, &json!(set.revision().as_str())))
}

fn run_rejected(case: &Value) -> Result<(), String> {
    let text = case["daemonSet"].to_string();
    match api::admit("case.json", text.as_bytes()).into_iter().next() {
        Some(Err(rejected)) if rejected.refusal == Refusal::Validation => {
            let message = case["message"].as_str().unwrap_or_default();
            let named = rejected
                .errors
                .iter()
                .all(|error| message.contains(&error.field));
            if named {
                Ok(())
            } else {
                Err(format!("have {rejected}\nwant {message}"))
            }
        }
        Some(Err(rejected)) => Err(format!(
            "refused otherwise: {} {rejected}",
            rejected.refusal
        )),
        _ => Err("accepted".to_owned()),
    }
}

/// Templates share a hash exactly where the reference's do; the revisions are as the reference's.
fn run_hashes(cases: &[Value], report: &mut Report) {
    let sets: Vec<Result<Arc<DaemonSet>, String>> =
        cases.iter().map(|case| admit(&case["daemonSet"])).collect();
    for (case, set) in cases.iter().zip(&sets) {
        let outcome = set.clone().and_then(|set| {
            for (other, other_set) in cases.iter().zip(&sets) {
                let Ok(other_set) = other_set else { continue };
                let want = case["controllerRevisionHash"] == other["controllerRevisionHash"];
                let have = set.revision() == other_set.revision();
                if want != have {
                    return Err(format!(
                        "same hash as {}: want {want} have {have}",
                        name(other)
                    ));
                }
            }
            let template = serde_json::to_value(set.template()).unwrap_or_default();
            difference(&case["storedTemplate"], &template)?;
            compare_revision(&case["controllerRevision"], &set)
        });
        report.case(name(case), outcome);
    }
}

/// Compares with the revision the set gets; the annotation with the template's generation is the
/// server's.
fn compare_revision(want: &Value, set: &DaemonSet) -> Result<(), String> {
    let number = want["revision"].as_i64().unwrap_or(1);
    let (have, _) = revisions::controller_revision(set, number, |_| false);
    let hash = set.revision().as_str();
    if have.metadata.name != Some(format!("{}-{hash}", set.key().name)) {
        return Err(format!(
            "name {:?} is not the set's and the hash",
            have.metadata.name
        ));
    }
    let mut have = serde_json::to_value(have).map_err(|error| error.to_string())?;
    let mut want = want.clone();
    have["metadata"]["labels"]["controller-revision-hash"] =
        want["metadata"]["labels"]["controller-revision-hash"].clone();
    have["metadata"]["name"] = want["metadata"]["name"].clone();
    have["metadata"]["ownerReferences"][0]["uid"] = json!("UID");
    if let Some(annotations) = want["metadata"]["annotations"].as_object_mut() {
        annotations.remove("deprecated.daemonset.template.generation");
        if annotations.is_empty() {
            want["metadata"]["annotations"] = Value::Null;
        }
    }
    let bytes = have["data"].to_string();
    if bytes.as_bytes() != revisions::patch_bytes(set.template()) {
        return Err("the data is not the template's patch".to_owned());
    }
    for key in ["data", "metadata", "revision"] {
        difference(&want[key], &have[key]).map_err(|lines| format!("{key}{lines}"))?;
    }
    Ok(())
}

fn run_special(data: &Value, report: &mut Report) {
    let special = &data["special"];
    let same = &special["sameTemplateOtherName"];
    if let Some(of) = same["templateOf"].as_str() {
        let found = list(&data["hashes"]).iter().find(|case| name(case) == of);
        let outcome = found
            .ok_or_else(|| format!("no case {of}"))
            .and_then(|case| {
                let mut other = case["daemonSet"].clone();
                other["metadata"]["name"] = json!("other-name");
                let (set, renamed) = (admit(&case["daemonSet"])?, admit(&other)?);
                let (revision, _) = revisions::controller_revision(&renamed, 1, |_| false);
                let want = format!("other-name-{}", set.revision());
                let have = revision.metadata.name.unwrap_or_default();
                if want == have {
                    Ok(())
                } else {
                    Err(format!("want {want} have {have}"))
                }
            });
        report.case("sameTemplateOtherName", outcome);
    }
    let meta = &special["daemonSetMetadata"];
    if meta.is_object() {
        let outcome = admit(&meta["daemonSet"])
            .and_then(|set| compare_revision(&meta["controllerRevision"], &set));
        report.case("daemonSetMetadata", outcome);
    }
    let collision = &special["nameCollision"];
    if collision.is_object() {
        report.case(
            "nameCollision",
            admit(&collision["daemonSet"]).and_then(|set| {
                let (first, _) = revisions::controller_revision(&set, 1, |_| false);
                let taken = first.metadata.name.clone().unwrap_or_default();
                let (second, collisions) = revisions::controller_revision(&set, 1, |n| n == taken);
                let want = collision["collisionCount"].as_u64();
                let renamed = second.metadata.name != first.metadata.name;
                if renamed && second.data == first.data && want == Some(u64::from(collisions)) {
                    return Ok(());
                }
                Err(format!(
                    "want {want:?} collisions, have {collisions}: {:?}",
                    second.metadata.name
                ))
            }),
        );
    }
    let orphan = &special["orphanAdoption"];
    if orphan.is_object() {
        report.case(
            "orphanAdoption",
            admit(&orphan["daemonSet"]).and_then(|set| {
                let existing = ControllerRevision {
                    revision: orphan["existing"]["revision"].as_i64().unwrap_or_default(),
                    ..ControllerRevision::default()
                };
                let numbers = list(&orphan["controllerRevisions"]).iter();
                let want = numbers
                    .filter_map(|revision| revision["revision"].as_i64())
                    .max();
                match revisions::advance(&[existing], &set) {
                    Advance::New { number } if Some(number) == want => Ok(()),
                    other => Err(format!("want number {want:?} have {other:?}")),
                }
            }),
        );
    }
}

/// Plays a sequence of changes; after each the surviving revisions must be the reference's.
fn run_history(case: &Value) -> Result<(), String> {
    let mut object = case["daemonSet"].clone();
    let mut history: Vec<ControllerRevision> = Vec::new();
    for (index, step) in list(&case["steps"]).iter().enumerate() {
        change(&mut object, &step["action"])?;
        let set = admit(&object)?;
        match revisions::advance(&history, &set) {
            Advance::New { number } => {
                history.push(revisions::controller_revision(&set, number, |_| false).0);
            }
            Advance::Reuse { index, number } => history[index].revision = number,
        }
        let live: BTreeSet<Revision> = list(&step["pods"])
            .iter()
            .filter_map(|pod| {
                let found = history
                    .iter()
                    .find(|revision| image(revision) == pod["image"])?;
                let labels = found.metadata.labels.as_ref()?;
                Some(Revision::new(labels.get(revisions::HASH_LABEL)?))
            })
            .collect();
        let mut gone = revisions::surplus(&history, &set, &live);
        gone.sort_unstable();
        for index in gone.into_iter().rev() {
            history.remove(index);
        }
        history.sort_by_key(|revision| revision.revision);
        let have: Vec<Value> = history
            .iter()
            .map(|r| json!({"image": image(r), "revision": r.revision}))
            .collect();
        let want: Vec<Value> = list(&step["revisions"])
            .iter()
            .map(|r| json!({"image": r["image"], "revision": r["revision"]}))
            .collect();
        if have != want {
            let (want, have) = (json!(want), json!(have));
            return Err(format!(
                "step {index} {}: want {want} have {have}",
                step["action"]
            ));
        }
    }
    Ok(())
}

fn image(revision: &ControllerRevision) -> Value {
    let data = revision.data.as_ref().map(|data| &data.0);
    let image = data.and_then(|data| data.pointer("/spec/template/spec/containers/0/image"));
    let text = image.and_then(Value::as_str).unwrap_or_default();
    json!(text.rsplit('/').next().unwrap_or_default())
}

fn change(object: &mut Value, action: &Value) -> Result<(), String> {
    let Some((what, value)) = action.as_object().and_then(|action| action.iter().next()) else {
        return Err(format!("unknown action {action}"));
    };
    match what.as_str() {
        "create" | "setImage" => {
            let image = format!("registry.example/{}", value.as_str().unwrap_or_default());
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        }
        "setRevisionHistoryLimit" => object["spec"]["revisionHistoryLimit"] = value.clone(),
        "setMinReadySeconds" => object["spec"]["minReadySeconds"] = value.clone(),
        "setDaemonSetLabel" => object["metadata"]["labels"] = value.clone(),
        "setDaemonSetAnnotation" => object["metadata"]["annotations"] = value.clone(),
        "setUpdateStrategy" => object["spec"]["updateStrategy"] = json!({"type": value}),
        "deletePods" => {}
        _ => return Err(format!("unknown action {action}")),
    }
    Ok(())
}
