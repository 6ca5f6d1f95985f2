//! Seccomp and AppArmor profiles: fields, the older annotation, and defaults.
//!
//! Follows kubelet v1.36's `getSeccompProfile` and `getAppArmorProfile`, and its AppArmor admission.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, SeccompProfile, SecurityContext,
};

use super::Host;
use crate::cri::{self, security_profile::ProfileType};
use crate::model::{DesiredPod, Reason};

/// The seccomp profile of a container: its own, the pod's, or the node's default.
#[must_use]
pub fn seccomp(
    of_pod: Option<&PodSecurityContext>,
    own: Option<&SecurityContext>,
    host: &Host,
) -> cri::SecurityProfile {
    let written: Option<&SeccompProfile> = own
        .and_then(|s| s.seccomp_profile.as_ref())
        .or(of_pod.and_then(|s| s.seccomp_profile.as_ref()));
    let Some(written) = written else {
        return match host.settings.seccomp_default {
            true => runtime_default(),
            false => profile(ProfileType::Unconfined, ""),
        };
    };
    match written.type_.as_str() {
        "RuntimeDefault" => runtime_default(),
        "Localhost" => {
            let name = written.localhost_profile.as_deref().unwrap_or_default();
            let path = host.settings.seccomp_root.join(name);
            profile(ProfileType::Localhost, &path.to_string_lossy())
        }
        _ => profile(ProfileType::Unconfined, ""),
    }
}

/// The AppArmor profile of a container, and the text form that older runtimes read.
#[must_use]
pub fn apparmor(pod: &DesiredPod, container: &Container) -> (Option<cri::SecurityProfile>, String) {
    let Some(written) = wanted_apparmor(pod, container) else {
        return (None, String::new());
    };
    let (profile_type, name, text) = match written.type_.as_str() {
        "Unconfined" => (ProfileType::Unconfined, String::new(), "unconfined".into()),
        "Localhost" => {
            let name = written.localhost_profile.unwrap_or_default();
            let text = format!("localhost/{name}");
            (ProfileType::Localhost, name, text)
        }
        _ => (
            ProfileType::RuntimeDefault,
            String::new(),
            "runtime/default".to_owned(),
        ),
    };
    (Some(profile(profile_type, &name)), text)
}

/// Refuses a pod with a profile that this host cannot enforce.
///
/// # Errors
///
/// `AppArmor`, as kubelet's admission says it.
pub fn check_apparmor(pod: &DesiredPod, host: &Host) -> Result<(), Reason> {
    let spec = pod.spec();
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let wants = |container: &Container| {
        wanted_apparmor(pod, container).is_some_and(|profile| profile.type_ != "Unconfined")
    };
    if !host.features.apparmor && all.any(wants) {
        let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
        return Err(Reason::new("AppArmor", message));
    }
    Ok(())
}

/// The runtime's own profile.
#[must_use]
pub fn runtime_default() -> cri::SecurityProfile {
    profile(ProfileType::RuntimeDefault, "")
}

fn wanted_apparmor(pod: &DesiredPod, container: &Container) -> Option<AppArmorProfile> {
    let of_pod = pod.spec().security_context.as_ref();
    let own = container.security_context.as_ref();
    own.and_then(|s| s.app_armor_profile.clone())
        .or_else(|| annotated_apparmor(pod, &container.name))
        .or_else(|| of_pod.and_then(|s| s.app_armor_profile.clone()))
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
