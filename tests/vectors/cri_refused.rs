//! Cases in which kubelet made no request: refused, or held before the runtime.

use std::path::Path;

use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};
use setlet::api::ContainerName;
use setlet::blocking::Progress;
use setlet::model::DesiredPod;
use setlet::runtime::files;
use setlet::runtime::translate::{ContainerInput, Host, container, sandbox};
use setlet::volume;

use crate::cri_case::{Case, image, volumes};
use crate::cri_rules;

/// Judges a case for which not even a sandbox was asked for; none where one was.
pub fn before_the_runtime(case: &Case<'_>) -> Option<Result<(), String>> {
    if !case.requests("RunPodSandbox").is_empty() {
        return None;
    }
    let errors = said(case);
    // Only static pods have no service account.
    let of_static_pods = errors.contains("when serviceAccountName is not set");
    Some(if errors.contains("invalid pod: ") && !of_static_pods {
        match cri_rules::admitted(&case.case["pod"]) {
            Ok(_) => Err(format!("admitted, though kubelet says {errors}")),
            Err(_) => Ok(()),
        }
    } else if errors.contains("MountVolume.SetUp failed") {
        volumes_refused(case, &errors)
    } else {
        sandbox_refused(case, &errors)
    })
}

/// Judges the containers of a case that kubelet could not configure.
pub fn of_containers(case: &Case<'_>, pod: &DesiredPod) -> Result<(), String> {
    let errors = said(case);
    let created = case.requests("CreateContainer");
    let is_created = |name: &str| {
        let mut names = created.iter().map(|r| &r["config"]["metadata"]["name"]);
        names.any(|created| created == name)
    };
    let spec = pod.spec();
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    all.try_for_each(|wanted| {
        let line = format!("container {} start failed in pod", wanted.name);
        let refused = errors
            .lines()
            .any(|l| l.starts_with(&line) && l.contains("CreateContainerConfigError"));
        // Without an API server a runtime's support for it is not seen.
        let not_seen =
            case.case["topic"] == "runtime-features" && errors.contains("recursive read-only mode");
        // The files of others are not there, where no container runs.
        let of_files = wanted.env.iter().flatten().any(|env| {
            env.value_from
                .as_ref()
                .is_some_and(|from| from.file_key_ref.is_some())
        });
        if !refused || not_seen || of_files || is_created(&wanted.name) {
            return Ok(());
        }
        container_refused(case, pod, wanted, &errors)
    })
}

/// The container must be refused with kubelet's words.
fn container_refused(
    case: &Case<'_>,
    pod: &DesiredPod,
    wanted: &Container,
    errors: &str,
) -> Result<(), String> {
    case.with_directory(Some(pod), |case, pod, root| {
        let name = ContainerName::new(&wanted.name);
        let request = json!({"image": {
            "image": "<IMAGE_REF>", "user_specified_image": wanted.image}});
        let image = image(&request);
        let (volumes, ips) = (volumes(&pod), case.ips());
        let input = ContainerInput {
            container: &name,
            attempt: 0,
            backoff_level: 0,
            image: &image,
            volumes: &volumes,
            ips: &ips,
        };
        let host = Host {
            pod_logs: root.join("logs"),
            ..case.host(root)
        };
        let have = files::prepare_pod(&pod, &host, &Progress::default())
            .and_then(|_| files::prepare_container(&pod, &input, &host, &Progress::default()))
            .and_then(|files| container(&pod, &input, &files, &host));
        match have {
            Ok(_) => Err(format!("translated, though kubelet says {errors}")),
            Err(reason) => agree(errors, &reason.message),
        }
    })
}

/// The sandbox must be refused with kubelet's words.
fn sandbox_refused(case: &Case<'_>, errors: &str) -> Result<(), String> {
    let pod = case.pod()?;
    let host = case.host(Path::new("<ROOT_DIR>"));
    let files = case.pod_files(&pod);
    match sandbox(&pod, 0, &files, &host) {
        // Kubelet's limits without an API server.
        Ok(_) if errors.contains("static pods may not") => Ok(()),
        Ok(_) if errors.contains("when serviceAccountName is not set") => Ok(()),
        Ok(_)
            if case.case["notes"]
                .as_str()
                .unwrap_or_default()
                .contains("crashes") =>
        {
            Ok(())
        }
        Ok(_) => Err(format!("translated, though kubelet says {errors}")),
        // Kubelet looks for pods to end in favour of a static pod, and says so.
        Err(reason) if errors.contains("no set of running pods found") => {
            match reason.word.strip_prefix("OutOf") {
                Some(what) if errors.contains(&format!("(res: {what}, ")) => Ok(()),
                _ => agree(errors, &reason.message),
            }
        }
        Err(reason) => agree(errors, &reason.message),
    }
}

/// The volumes must be refused with kubelet's words.
fn volumes_refused(case: &Case<'_>, errors: &str) -> Result<(), String> {
    if errors.contains("kube client is not configured") {
        // Kubelet's limit without an API server: such volumes are made here.
        return case.pod().map(|_| ());
    }
    case.with_directory(None, |case, pod, root| {
        let host = case.host(root);
        match volume::prepare(&pod, &root.join("pods"), &host.node, &Progress::default()) {
            Ok(_) => Err(format!("prepared, though kubelet says {errors}")),
            Err(error) => {
                let message = error.to_string();
                let message = message.replace(&*root.join("host").to_string_lossy(), "<HOST_DIR>");
                agree(errors, &message)
            }
        }
    })
}

/// Everything kubelet said about the pod.
fn said(case: &Case<'_>) -> String {
    let errors = case.case["agent_errors"].as_array().into_iter().flatten();
    let mut said: Vec<&str> = errors.filter_map(Value::as_str).collect();
    let status = &case.case["status_before_removal"];
    said.extend(status["message"].as_str());
    said.join("\n")
}

/// Whether a message of ours holds what kubelet said: its part after kubelet's own preface, as
/// ours may go on with the cause.
fn agree(errors: &str, message: &str) -> Result<(), String> {
    // The C library and Go write the system's errors in different case.
    let (errors, message) = (&errors.to_lowercase(), &message.to_lowercase());
    let core = message.split(" : ").last().unwrap_or(message);
    let agrees = errors.contains(core)
        || errors.lines().any(|line| {
            let tail = line.rsplit("error: ").next().unwrap_or(line);
            let tail = tail.rsplit(" : ").next().unwrap_or(tail);
            !tail.is_empty() && message.contains(tail)
        });
    match agrees {
        true => Ok(()),
        false => Err(format!("want {errors}\nhave {message}")),
    }
}
