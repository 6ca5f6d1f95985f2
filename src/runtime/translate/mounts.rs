//! What a container finds mounted: its volume mounts in their order, then `/etc/hosts`, then the
//! termination log.
//!
//! Follows kubelet v1.36's `makeMounts`, and kuberuntime's of the same name.

use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};

use super::env::Environment;
use super::security::id_mappings;
use super::{ContainerInput, Host, labels};
use crate::api::ImageName;
use crate::cri::{self, MountPropagation};
use crate::model::{DesiredPod, Reason};
use crate::runtime::files::ContainerFiles;

/// The mounts of a container.
///
/// # Errors
///
/// `CreateContainerConfigError` when a mount names what is not there or cannot be had.
pub fn mounts(
    pod: &DesiredPod,
    container: &Container,
    input: &ContainerInput<'_>,
    files: &ContainerFiles,
    environment: &Environment,
    host: &Host,
) -> Result<Vec<cri::Mount>, Reason> {
    let mut mounts = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let volume = volume(pod, &mount.name)
            .ok_or_else(|| refused(container, not_found(container, mount)))?;
        mounts.push(if volume.image.is_some() {
            cri::Mount {
                image_sub_path: sub_path(container, mount, environment)?.unwrap_or_default(),
                ..image_mount(pod, container, mount, volume, host)?
            }
        } else {
            let from = match files.sub_paths.get(&index) {
                Some(path) => Some(path),
                None => input.volumes.get(&mount.name),
            };
            let from = from.ok_or_else(|| refused(container, not_found(container, mount)))?;
            cri::Mount {
                container_path: absolute(&mount.mount_path),
                host_path: from.to_string_lossy().into_owned(),
                readonly: mount.read_only == Some(true) || is_written_by_agent(volume),
                selinux_relabel: host.features.selinux && volume.host_path.is_none(),
                propagation: propagation(mount).into(),
                recursive_read_only: recursive_read_only(container, mount, host)?,
                ..cri::Mount::default()
            }
        });
    }
    let own = [
        (files.etc_hosts.as_ref(), Some("/etc/hosts")),
        (
            files.termination_log.as_ref(),
            container.termination_message_path.as_deref(),
        ),
    ];
    for (file, path) in own {
        if let (Some(file), Some(path)) = (file, path) {
            mounts.push(cri::Mount {
                container_path: absolute(path),
                host_path: file.to_string_lossy().into_owned(),
                selinux_relabel: host.features.selinux,
                ..cri::Mount::default()
            });
        }
    }
    for mount in mounts.iter_mut().filter(|m| m.image.is_none()) {
        mount.uid_mappings = id_mappings(files.userns);
        mount.gid_mappings = id_mappings(files.userns);
    }
    Ok(mounts)
}

/// The path inside a volume that a mount asks for, with the environment filled in; none for the
/// whole volume.
///
/// # Errors
///
/// `CreateContainerConfigError` when it names a variable that is not set, or leads outside.
pub fn sub_path(
    container: &Container,
    mount: &VolumeMount,
    environment: &Environment,
) -> Result<Option<String>, Reason> {
    let filled = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let path = match filled(&mount.sub_path_expr) {
        Some(expression) => Some(
            environment
                .expand_all(&expression)
                .map_err(|message| refused(container, message))?,
        ),
        None => filled(&mount.sub_path),
    };
    let Some(path) = path else { return Ok(None) };
    if path.starts_with('/') {
        let message = format!("error SubPath `{path}` must not be an absolute path");
        return Err(refused(container, message));
    }
    if path.split('/').any(|part| part == "..") {
        let message = format!("unable to provision SubPath `{path}`: must not contain '..'");
        return Err(refused(container, message));
    }
    Ok(Some(path))
}

/// A volume of the pod by name.
#[must_use]
pub fn volume<'a>(pod: &'a DesiredPod, name: &str) -> Option<&'a Volume> {
    let mut volumes = pod.spec().volumes.iter().flatten();
    volumes.find(|volume| volume.name == name)
}

/// Names the image in full; before a container is made the name gives way to the image's id.
fn image_mount(
    pod: &DesiredPod,
    container: &Container,
    mount: &VolumeMount,
    volume: &Volume,
    host: &Host,
) -> Result<cri::Mount, Reason> {
    if !host.features.image_volumes {
        let message = format!(
            "volume \"{}\" is an image volume, which the runtime does not support",
            volume.name
        );
        return Err(refused(container, message));
    }
    let source = volume.image.as_ref();
    let reference = source.and_then(|i| i.reference.clone()).unwrap_or_default();
    Ok(cri::Mount {
        container_path: absolute(&mount.mount_path),
        readonly: true,
        image: Some(cri::ImageSpec {
            image: ImageName::in_full(&reference),
            annotations: labels::copied(pod.record.pod.metadata.annotations.as_ref()),
            user_specified_image: reference,
            ..cri::ImageSpec::default()
        }),
        propagation: propagation(mount).into(),
        ..cri::Mount::default()
    })
}

/// Volumes whose content is the agent's to write: containers only read them.
fn is_written_by_agent(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

fn propagation(mount: &VolumeMount) -> MountPropagation {
    match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

fn recursive_read_only(
    container: &Container,
    mount: &VolumeMount,
    host: &Host,
) -> Result<bool, Reason> {
    let supported = host.features.recursive_read_only;
    match mount.recursive_read_only.as_deref() {
        _ if mount.read_only != Some(true) => Ok(false),
        Some("IfPossible") => Ok(supported),
        Some("Enabled") if supported => Ok(true),
        Some("Enabled") => Err(refused(
            container,
            format!(
                "failed to resolve recursive read-only mode: volume \"{}\" requested recursive \
                 read-only mode, but it is not supported by the runtime",
                mount.name
            ),
        )),
        _ => Ok(false),
    }
}

fn not_found(container: &Container, mount: &VolumeMount) -> String {
    format!(
        "cannot find volume \"{}\" to mount into container \"{}\"",
        mount.name, container.name
    )
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

fn refused(container: &Container, message: String) -> Reason {
    Reason::new("CreateContainerConfigError", message).of_container(&container.name)
}
