//! Users, groups, capabilities, SELinux and namespaces.
//!
//! Follows kubelet v1.36's `determineEffectiveSecurityContext` and `verifyRunAsNonRoot`.

use k8s_openapi::api::core::v1::{
    Container, PodSecurityContext, PodSpec, SELinuxOptions, SecurityContext,
};

use super::{Host, described, profiles};
use crate::cri;
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
        seccomp: Some(profiles::runtime_default()),
        apparmor: None,
    }
}

/// A container's security context: its own fields over the pod's, and the image's user.
///
/// # Errors
///
/// `CreateContainerConfigError` when runAsNonRoot does not hold.
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
    let (apparmor, apparmor_profile) = profiles::apparmor(pod, container);
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
        seccomp: Some(profiles::seccomp(of_pod, own, host)),
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
