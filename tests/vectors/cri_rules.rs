//! What may differ from the recorded requests, each by a rule, and how a pod is admitted.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use setlet::api::{self, Object, Origin, Uid, pod};

use crate::cri_case::{HOST_IP, USERNS_BASE};

/// A label that only the DaemonSet around the pod needs.
const SELECTOR: &str = "vec";

/// A case with one placeholder for all uids that its pod had one after the other.
pub fn first_generation(case: &Value) -> Value {
    let mut text = case.to_string();
    for generation in 1..10 {
        text = text.replace(&format!("<POD_UID:{generation}>"), "<POD_UID>");
    }
    serde_json::from_str(&text).unwrap_or_default()
}

/// A recorded request without what only kubelet has.
pub fn recorded(want: &Value) -> Value {
    let mut want = want.clone();
    for path in ["/annotations", "/labels"] {
        if let Some(Value::Object(map)) = want.pointer_mut(path) {
            // The source of static pods, and kubelet's own hash.
            map.retain(|name, _| {
                !name.starts_with("kubernetes.io/config.") && name != "io.kubernetes.container.hash"
            });
        }
    }
    normal(&mut want);
    want
}

/// A request made here without what only this agent has, with the placeholders of the data.
pub fn made(have: &Value, host_network: bool) -> Value {
    let text = have
        .to_string()
        .replace(&format!("\"{HOST_IP}\""), "\"<HOST_IP>\"")
        .replace(
            &format!("\"host_id\":{USERNS_BASE}"),
            "\"host_id\":\"<USERNS_BASE>\"",
        );
    let mut have: Value = serde_json::from_str(&text).unwrap_or_default();
    for path in ["/annotations", "/labels"] {
        if let Some(Value::Object(map)) = have.pointer_mut(path) {
            map.retain(|name, _| {
                !name.starts_with("setlet.dev/")
                    && name != "controller-revision-hash"
                    && name != "io.kubernetes.container.hash"
            });
        }
    }
    if host_network {
        // Recorded without an API server, where a pod on the host network has no address.
        for env in have["envs"].as_array_mut().into_iter().flatten() {
            if matches!(env["key"].as_str(), Some("PODIP" | "PODIPS")) {
                env["value"] = json!("");
            }
        }
    }
    for mount in have["mounts"].as_array_mut().into_iter().flatten() {
        // Recorded without an API server, where a runtime's support for it is not seen.
        if let Value::Object(mount) = mount {
            mount.remove("recursive_read_only");
        }
        // An image is mounted by its name: the runtime knows its id.
        if !mount["image"].is_null() {
            mount["image"]["image"] = json!("<IMAGE_REF>");
        }
    }
    normal(&mut have);
    have
}

/// One form for what has no order or more than one spelling.
fn normal(config: &mut Value) {
    for path in ["/envs", "/dns_config/options"] {
        if let Some(Value::Array(list)) = config.pointer_mut(path) {
            list.sort_by_key(|item| item["key"].as_str().map_or(item.to_string(), str::to_owned));
            for item in list {
                if let Value::Object(item) = item {
                    item.remove("note");
                    // An empty value is left out on the wire.
                    item.entry("value").or_insert_with(|| json!(""));
                }
            }
        }
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if let Some(Value::Object(map)) = mount.pointer_mut("/image/annotations") {
            map.retain(|name, _| !name.starts_with("kubernetes.io/config."));
        }
        if let Some(Value::Object(image)) = mount.get_mut("image")
            && image.get("annotations") == Some(&json!({}))
        {
            image.remove("annotations");
        }
    }
    for name in [
        "io.kubernetes.container.ports",
        "io.kubernetes.container.preStopHandler",
    ] {
        if let Some(value) = config["annotations"].get_mut(name) {
            // JSON has no order of fields.
            let parsed = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            *value = parsed.unwrap_or_default();
        }
    }
    if config["annotations"] == json!({})
        && let Value::Object(config) = config
    {
        config.remove("annotations");
    }
}

/// The pod as an API server would give it back, by way of a DaemonSet around it.
pub fn admitted(manifest: &Value) -> Result<Pod, Vec<String>> {
    let mut spec = manifest["spec"].clone();
    let restart_policy = spec["restartPolicy"].as_str().map(str::to_owned);
    if let Value::Object(spec) = &mut spec {
        // What a pod may have and a DaemonSet's template may not.
        spec.remove("restartPolicy");
        spec.remove("activeDeadlineSeconds");
        // Recorded from static pods, which are not asked for a class's priority.
        spec.remove("priority");
    }
    let namespace = manifest["metadata"]["namespace"].as_str();
    let namespace = namespace.unwrap_or("default");
    let mut metadata = manifest["metadata"].clone();
    let name = metadata["name"].as_str().unwrap_or_default().to_owned();
    if let Value::Object(metadata) = &mut metadata {
        metadata.remove("name");
        metadata.remove("namespace");
    }
    metadata["labels"][SELECTOR] = json!("vec");
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "vec", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {SELECTOR: "vec"}},
            "template": {"metadata": metadata, "spec": spec},
        },
    });
    made_pod(set, &name, restart_policy)
}

/// The pod of a DaemonSet, under the names of the data.
fn made_pod(set: Value, name: &str, restart_policy: Option<String>) -> Result<Pod, Vec<String>> {
    let origin = Origin {
        file: "case.json".to_owned(),
        document: 1,
        line: 1,
    };
    let say = |errors: &[api::FieldError]| -> Vec<String> {
        let errors = errors.iter();
        errors
            .map(|e| format!("{}: {}", e.field, e.message))
            .collect()
    };
    let admitted = api::admit_value(origin, set).map_err(|r| say(&r.errors))?;
    let Object::DaemonSet(set) = admitted.object else {
        return Err(vec!["not a DaemonSet".to_owned()]);
    };
    // Admitted under names that are valid, and then given those of the data.
    let uid = Uid::new("4a54a1bc-53c3-4f38-a4de-b9ae9bb0e5a3");
    let mut pod = pod::pod_from_template(&set, "node", name, &uid).map_err(|e| say(&e))?;
    pod.metadata.name = Some(format!("{name}-<HOSTNAME>"));
    pod.metadata.uid = Some("<POD_UID>".to_owned());
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some("<HOSTNAME>".to_owned());
    }
    if let Some(labels) = &mut pod.metadata.labels {
        labels.remove(SELECTOR);
        labels.remove("controller-revision-hash");
        labels.remove("pod-template-generation");
    }
    if let (Some(spec), Some(policy)) = (&mut pod.spec, restart_policy) {
        spec.restart_policy = Some(policy);
    }
    Ok(pod)
}
