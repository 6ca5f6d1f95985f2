//! Runs `eligibility/daemonsets-*.json` over `nodes.json`, and `continue.json`: what the DaemonSet
//! controller decided for every pair of a set and a node, and for pods that ran when something
//! changed. `comparison-gated.json` needs a feature gate that is off in v1.36 and is not run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use setlet::api::daemonset::DaemonSet;
use setlet::api::{Object, Origin, admit_value};
use setlet::eligibility::decide;
use setlet::model::{NodeFacts, Verdict};

use crate::{Report, json_files, read};

/// Runs the files of the directory.
pub fn run(root: &Path, report: &mut Report) {
    let directory = root.join("eligibility");
    let nodes = read(&directory.join("nodes.json"), report);
    let nodes: Vec<NodeFacts> = nodes.iter().flat_map(array).map(node).collect();
    for path in json_files(&directory) {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with("daemonsets-") && !nodes.is_empty() {
            run_file(&path, &name, report, |case| on_nodes(case, &nodes));
        } else if name == "continue.json" {
            run_file(&path, &name, report, steps);
        }
    }
}

fn run_file(
    path: &Path,
    name: &str,
    report: &mut Report,
    run: impl Fn(&Value) -> Result<(), String>,
) {
    let Some(cases) = read(path, report) else {
        return;
    };
    report.file(&format!("eligibility/{name}"));
    for case in array(&cases) {
        report.case(case["name"].as_str().unwrap_or("?"), run(case));
    }
}

fn on_nodes(case: &Value, nodes: &[NodeFacts]) -> Result<(), String> {
    let set = set(&case["daemonSet"])?;
    let want: BTreeSet<&str> = array(&case["eligibleNodes"])
        .filter_map(Value::as_str)
        .collect();
    let have = nodes
        .iter()
        .filter(|node| decide(&set, node).runs())
        .map(|node| node.name.as_str());
    let have: BTreeSet<&str> = have.collect();
    if have == want {
        return Ok(());
    }
    Err(format!(
        "should run on {:?}; should not run on {:?}",
        want.difference(&have).collect::<Vec<_>>(),
        have.difference(&want).collect::<Vec<_>>()
    ))
}

/// Every step gives the whole state after its change; a node that is gone decides nothing.
fn steps(case: &Value) -> Result<(), String> {
    let mut current = None;
    for (index, step) in array(&case["steps"]).enumerate() {
        if !step["daemonSet"].is_null() {
            current = Some(set(&step["daemonSet"])?);
        }
        let set = current.as_ref().ok_or("the first step has no daemonSet")?;
        let expect = &step["expect"];
        let verdict = (!step["node"].is_null()).then(|| decide(set, &node(&step["node"])));
        let runs = verdict.as_ref().is_some_and(Verdict::runs);
        let fail = |what: &str| {
            Err(format!(
                "step {index} ({}): {what}; decided {verdict:?}",
                step["change"]
            ))
        };
        if let Some(desired) = expect["desiredNumberScheduled"].as_u64()
            && (desired == 1) != runs
        {
            return fail(&format!("desiredNumberScheduled is {desired}"));
        }
        let keeps = verdict.as_ref().is_some_and(Verdict::keeps);
        // A pod that failed is replaced wherever one may run; that is no matter of eligibility.
        let ran =
            step["existingPod"]["phase"] == "Running" || step["existingPod"]["phase"] == "Pending";
        match expect["existingPod"].as_str() {
            Some("kept") if !keeps && verdict.is_some() => return fail("the pod is kept"),
            Some("deleted") if keeps && ran => return fail("the pod is deleted"),
            _ => {}
        }
        if expect["newPod"] == true && !runs {
            return fail("a new pod is made");
        }
    }
    Ok(())
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn set(value: &Value) -> Result<Arc<DaemonSet>, String> {
    let origin = Origin {
        file: "case".to_owned(),
        document: 1,
        line: 1,
    };
    match admit_value(origin, value.clone()) {
        Ok(admitted) => match admitted.object {
            Object::DaemonSet(set) => Ok(set),
            other => Err(format!("{} is no DaemonSet", other.reference())),
        },
        Err(rejected) => Err(format!("refused: {rejected}")),
    }
}

fn node(object: &Value) -> NodeFacts {
    let read = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
    let taints = array(&object["spec"]["taints"]).map(|taint| {
        let mut taint = taint.clone();
        if let Some(fields) = taint.as_object_mut() {
            fields.remove("timeAdded");
        }
        serde_json::from_value(taint).unwrap_or_else(|error| panic!("a taint of the data: {error}"))
    });
    NodeFacts {
        name: object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        labels: match &object["metadata"]["labels"] {
            Value::Null => Default::default(),
            labels => read(labels),
        },
        taints: taints.collect(),
        unschedulable: object["spec"]["unschedulable"] == true,
        ..NodeFacts::default()
    }
}
