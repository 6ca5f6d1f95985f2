//! One container: image, command, environment, mounts, labels, resources and security context.
//!
//! Follows kubelet v1.36's `generateContainerConfig`, `newContainerLabels` and
//! `newContainerAnnotations`.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Container;

use super::{ContainerInput, Host, env, labels, linux, mounts, security};
use crate::cri;
use crate::model::{DesiredPod, ImageState, Reason, downward};
use crate::runtime::files::{self, ContainerFiles};

/// The configuration of one container in the pod's sandbox.
///
/// # Errors
///
/// `CreateContainerConfigError` or another of kubelet's words when it cannot be made as asked.
pub fn container(
    pod: &DesiredPod,
    input: &ContainerInput<'_>,
    files: &ContainerFiles,
    host: &Host,
) -> Result<cri::ContainerConfig, Reason> {
    let spec = pod.spec();
    let container = find(pod, input)?;
    let environment = env::environment(pod, container, input.ips, &files.file_keys, host)?;
    let security_context = security::container(pod, container, input.image, files.userns, host)?;
    let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        let words = words.iter().flatten();
        words.map(|word| environment.expand(word)).collect()
    };
    let mut all_labels = labels::identity(pod, &host.node.name);
    all_labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata {
            name: container.name.clone(),
            attempt: input.attempt,
        }),
        image: Some(image_spec(container, input.image)?),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: environment
            .iter()
            .map(|(key, value)| cri::KeyValue {
                key: key.to_owned(),
                value: value.to_vec(),
            })
            .collect(),
        mounts: mounts::mounts(pod, container, input, files, &environment, host)?,
        labels: all_labels,
        annotations: annotations(pod, container, input),
        log_path: files::log_path(input.container, input.attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(linux::container_resources(spec, container, host)),
            security_context: Some(security_context),
        }),
    })
}

/// The container's specification in the pod.
///
/// # Errors
///
/// When the pod has no container of that name.
pub fn find<'a>(pod: &'a DesiredPod, input: &ContainerInput<'_>) -> Result<&'a Container, Reason> {
    let name = input.container.as_str();
    downward::find_container(pod.spec(), name).ok_or_else(|| {
        let message = format!("the pod has no container \"{name}\"");
        Reason::new("CreateContainerConfigError", message).of_container(name)
    })
}

fn image_spec(container: &Container, image: &ImageState) -> Result<cri::ImageSpec, Reason> {
    let ImageState::Present { image_ref, .. } = image else {
        let message = "the image is not there yet";
        return Err(
            Reason::new("CreateContainerConfigError", message).of_container(&container.name)
        );
    };
    Ok(cri::ImageSpec {
        image: image_ref.clone(),
        user_specified_image: container.image.clone().unwrap_or_default(),
        ..cri::ImageSpec::default()
    })
}

fn annotations(
    pod: &DesiredPod,
    container: &Container,
    input: &ContainerInput<'_>,
) -> HashMap<String, String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut annotations = vec![
        (labels::CONTAINER_HASH, labels::container_hash(container)),
        (labels::RESTART_COUNT, input.attempt.to_string()),
        (
            labels::TERMINATION_MESSAGE_PATH,
            text(&container.termination_message_path),
        ),
        (
            labels::TERMINATION_MESSAGE_POLICY,
            text(&container.termination_message_policy),
        ),
        (labels::BACKOFF_LEVEL, input.backoff_level.to_string()),
        (labels::SET, pod.record.set.name.clone()),
    ];
    if let Some(grace) = pod.spec().termination_grace_period_seconds {
        annotations.push((labels::POD_GRACE_PERIOD, grace.to_string()));
    }
    if let ImageState::Present {
        stale: Some(why), ..
    } = input.image
    {
        annotations.push((labels::IMAGE_STALE, why.message.clone()));
    }
    let pre_stop = container
        .lifecycle
        .as_ref()
        .and_then(|l| l.pre_stop.as_ref());
    if let Some(json) = pre_stop.and_then(|hook| serde_json::to_string(hook).ok()) {
        annotations.push((labels::PRE_STOP_HANDLER, json));
    }
    let ports = container.ports.as_ref().filter(|ports| !ports.is_empty());
    if let Some(json) = ports.and_then(|ports| serde_json::to_string(ports).ok()) {
        annotations.push((labels::PORTS, json));
    }
    annotations
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
