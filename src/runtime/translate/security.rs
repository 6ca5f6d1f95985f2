//! Users, groups, capabilities, seccomp, AppArmor, SELinux, namespaces and sysctls.
//!
//! Follows kubelet v1.36's `determineEffectiveSecurityContext`, `verifyRunAsNonRoot` and the
//! sysctl allowlist.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, PodSpec, SELinuxOptions, SeccompProfile,
    SecurityContext,
};

use super::{Host, described};
use crate::cri::{self, security_profile::ProfileType};
use crate::model::{DesiredPod, ImageState, Reason};

/// Paths of `/proc` and `/sys` that containers do not see.
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths of `/proc` that containers cannot write.
const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// How many ids a user namespace has.
pub const USERNS_LENGTH: u32 = 65_536;

/// The namespaces of a pod; `userns` is the first host id of its user namespace.
#[must_use]
pub fn namespaces(spec: &PodSpec, userns: Option<u32>) -> cri::NamespaceOption {
    use cri::NamespaceMode::{Container, Node, Pod};
    let on_host = |on: Option<bool>| if on == Some(true) { Node } else { Pod };
    let pid = if spec.host_pid == Some(true) {
        Node
    } else if spec.share_process_namespace == Some(true) {
        Pod
    } else {
        Container
    };
    let mappings = id_mappings(userns);
    cri::NamespaceOption {
        network: on_host(spec.host_network).into(),
        pid: pid.into(),
        ipc: on_host(spec.host_ipc).into(),
        target_id: String::new(),
        userns_options: Some(cri::UserNamespace {
            mode: if userns.is_some() { Pod } else { Node }.into(),
            uids: mappings.clone(),
            gids: mappings,
        }),
    }
}

/// The one range of ids of a user namespace, or none.
#[must_use]
pub fn id_mappings(userns: Option<u32>) -> Vec<cri::IdMapping> {
    userns
        .map(|host_id| cri::IdMapping {
            host_id,
            container_id: 0,
            length: USERNS_LENGTH,
        })
        .into_iter()
        .collect()
}

/// The sandbox's security context: the pod's, privileged as soon as one container is.
#[must_use]
pub fn sandbox(spec: &PodSpec, userns: Option<u32>) -> cri::LinuxSandboxSecurityContext {
    let of_pod = spec.security_context.as_ref();
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec, userns)),
        selinux_options: of_pod.and_then(|s| selinux(s.se_linux_options.as_ref())),
        run_as_user: of_pod.and_then(|s| int64(s.run_as_user)),
        run_as_group: of_pod.and_then(|s| int64(s.run_as_group)),
        readonly_rootfs: false,
        supplemental_groups: groups(of_pod),
        supplemental_groups_policy: groups_policy(of_pod),
        privileged: all.any(is_privileged),
        seccomp: Some(profile(ProfileType::RuntimeDefault, "")),
        apparmor: None,
    }
}

/// A container's security context: its own fields over the pod's, and the image's user.
///
/// # Errors
///
/// `CreateContainerConfigError` when runAsNonRoot does not hold or a profile cannot be had.
pub fn container(
    pod: &DesiredPod,
    container: &Container,
    image: &ImageState,
    userns: Option<u32>,
    host: &Host,
) -> Result<cri::LinuxContainerSecurityContext, Reason> {
    let spec = pod.spec();
    let of_pod = spec.security_context.as_ref();
    let own = container.security_context.as_ref();
    let user = own
        .and_then(|s| s.run_as_user)
        .or(of_pod.and_then(|s| s.run_as_user));
    let group = own
        .and_then(|s| s.run_as_group)
        .or(of_pod.and_then(|s| s.run_as_group));
    let (image_uid, image_username) = image_user(image);
    check_non_root(pod, container, user, (image_uid, image_username))?;
    let (apparmor, apparmor_profile) = apparmor(pod, container, host)?;
    let unmasked = own.and_then(|s| s.proc_mount.as_deref()) == Some("Unmasked");
    let paths = |list: &[&str]| -> Vec<String> {
        if unmasked {
            return Vec::new();
        }
        list.iter().map(|&path| path.to_owned()).collect()
    };
    let selinux_options = own
        .and_then(|s| s.se_linux_options.as_ref())
        .or(of_pod.and_then(|s| s.se_linux_options.as_ref()));
    Ok(cri::LinuxContainerSecurityContext {
        capabilities: own.and_then(capabilities),
        privileged: is_privileged(container),
        namespace_options: Some(namespaces(spec, userns)),
        selinux_options: selinux(selinux_options),
        run_as_user: int64(user.or(image_uid)),
        run_as_group: int64(group),
        run_as_username: match user {
            Some(_) => String::new(),
            None => image_username.to_owned(),
        },
        readonly_rootfs: own.and_then(|s| s.read_only_root_filesystem) == Some(true),
        supplemental_groups: groups(of_pod),
        supplemental_groups_policy: groups_policy(of_pod),
        no_new_privs: own.and_then(|s| s.allow_privilege_escalation) == Some(false),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READONLY_PATHS),
        apparmor_profile,
        seccomp: Some(seccomp(of_pod, own, host)),
        apparmor,
    })
}

/// Whether a container is privileged.
#[must_use]
pub fn is_privileged(container: &Container) -> bool {
    let own = container.security_context.as_ref();
    own.and_then(|s| s.privileged) == Some(true)
}

fn image_user(image: &ImageState) -> (Option<i64>, &str) {
    match image {
        ImageState::Present { uid, username, .. } => (*uid, username),
        _ => (None, ""),
    }
}

fn check_non_root(
    pod: &DesiredPod,
    container: &Container,
    user: Option<i64>,
    (image_uid, image_username): (Option<i64>, &str),
) -> Result<(), Reason> {
    let of_pod = pod.spec().security_context.as_ref();
    let own = container.security_context.as_ref();
    let non_root = own
        .and_then(|s| s.run_as_non_root)
        .or(of_pod.and_then(|s| s.run_as_non_root));
    if non_root != Some(true) {
        return Ok(());
    }
    let what = match (user, image_uid) {
        (Some(0), _) => "container's runAsUser breaks non-root policy".to_owned(),
        (Some(_), _) => return Ok(()),
        (None, Some(0)) => "container has runAsNonRoot and image will run as root".to_owned(),
        (None, None) if !image_username.is_empty() => format!(
            "container has runAsNonRoot and image has non-numeric user ({image_username}), cannot \
             verify user is non-root"
        ),
        (None, _) => return Ok(()),
    };
    let message = format!(
        "{what} (pod: \"{}\", container: {})",
        described(pod),
        container.name
    );
    Err(Reason::new("CreateContainerConfigError", message).of_container(&container.name))
}

fn seccomp(
    of_pod: Option<&PodSecurityContext>,
    own: Option<&SecurityContext>,
    host: &Host,
) -> cri::SecurityProfile {
    let written: Option<&SeccompProfile> = own
        .and_then(|s| s.seccomp_profile.as_ref())
        .or(of_pod.and_then(|s| s.seccomp_profile.as_ref()));
    let Some(written) = written else {
        return if host.settings.seccomp_default {
            profile(ProfileType::RuntimeDefault, "")
        } else {
            profile(ProfileType::Unconfined, "")
        };
    };
    match written.type_.as_str() {
        "RuntimeDefault" => profile(ProfileType::RuntimeDefault, ""),
        "Localhost" => {
            let name = written.localhost_profile.as_deref().unwrap_or_default();
            let path = host.settings.seccomp_root.join(name);
            profile(ProfileType::Localhost, &path.to_string_lossy())
        }
        _ => profile(ProfileType::Unconfined, ""),
    }
}

/// The AppArmor profile and the text form that older runtimes read.
fn apparmor(
    pod: &DesiredPod,
    container: &Container,
    host: &Host,
) -> Result<(Option<cri::SecurityProfile>, String), Reason> {
    let of_pod = pod.spec().security_context.as_ref();
    let own = container.security_context.as_ref();
    let annotated = annotated_apparmor(pod, &container.name);
    let Some(written) = own
        .and_then(|s| s.app_armor_profile.clone())
        .or(annotated)
        .or(of_pod.and_then(|s| s.app_armor_profile.clone()))
    else {
        return Ok((None, String::new()));
    };
    if written.type_ == "Unconfined" {
        let unconfined = profile(ProfileType::Unconfined, "");
        return Ok((Some(unconfined), "unconfined".to_owned()));
    }
    if !host.features.apparmor {
        let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
        return Err(Reason::new("AppArmor", message).of_container(&container.name));
    }
    Ok(if written.type_ == "Localhost" {
        let name = written.localhost_profile.unwrap_or_default();
        let text = format!("localhost/{name}");
        (Some(profile(ProfileType::Localhost, &name)), text)
    } else {
        let default = profile(ProfileType::RuntimeDefault, "");
        (Some(default), "runtime/default".to_owned())
    })
}

/// The profile of the annotation that came before the field.
fn annotated_apparmor(pod: &DesiredPod, container: &str) -> Option<AppArmorProfile> {
    let annotations = pod.record.pod.metadata.annotations.as_ref()?;
    let name = format!("container.apparmor.security.beta.kubernetes.io/{container}");
    let (type_, localhost_profile) = match annotations.get(&name)?.as_str() {
        "unconfined" => ("Unconfined", None),
        "runtime/default" => ("RuntimeDefault", None),
        text => ("Localhost", Some(text.strip_prefix("localhost/")?.into())),
    };
    Some(AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile,
    })
}

fn profile(profile_type: ProfileType, localhost_ref: &str) -> cri::SecurityProfile {
    cri::SecurityProfile {
        profile_type: profile_type.into(),
        localhost_ref: localhost_ref.to_owned(),
    }
}

fn capabilities(own: &SecurityContext) -> Option<cri::Capability> {
    let written = own.capabilities.as_ref()?;
    Some(cri::Capability {
        add_capabilities: written.add.clone().unwrap_or_default(),
        drop_capabilities: written.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    })
}

fn selinux(written: Option<&SELinuxOptions>) -> Option<cri::SeLinuxOption> {
    let written = written?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Some(cri::SeLinuxOption {
        user: text(&written.user),
        role: text(&written.role),
        r#type: text(&written.type_),
        level: text(&written.level),
    })
}

fn int64(value: Option<i64>) -> Option<cri::Int64Value> {
    value.map(|value| cri::Int64Value { value })
}

/// fsGroup first, then the supplemental groups.
fn groups(of_pod: Option<&PodSecurityContext>) -> Vec<i64> {
    let more = of_pod.and_then(|s| s.supplemental_groups.as_deref());
    of_pod
        .and_then(|s| s.fs_group)
        .into_iter()
        .chain(more.unwrap_or_default().iter().copied())
        .collect()
}

fn groups_policy(of_pod: Option<&PodSecurityContext>) -> i32 {
    let policy = of_pod.and_then(|s| s.supplemental_groups_policy.as_deref());
    match policy {
        Some("Strict") => cri::SupplementalGroupsPolicy::Strict,
        _ => cri::SupplementalGroupsPolicy::Merge,
    }
    .into()
}
