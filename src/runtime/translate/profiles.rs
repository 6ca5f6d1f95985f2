//! Seccomp and AppArmor profiles: fields, the older annotation, and defaults.
//!
//! Follows kubelet v1.36's `getSeccompProfile` and `getAppArmorProfile`, and its AppArmor admission.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, SeccompProfile, SecurityContext,
};

use super::Host;
use crate::cri::{self, security_profile::ProfileType};
use crate::model::{Action, DesiredPod, Outcome, Reason, downward};

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

/// What came of an action; of a stop that failed with what may be the cause, where the container has an
/// AppArmor profile of the host's. A profile without a signal rule forbids the runtime to end the
/// container, and the kernel says no more than "permission denied".
#[must_use]
pub fn with_cause(pod: &DesiredPod, action: &Action, outcome: Outcome) -> Outcome {
    let (Action::StopContainers { .. }, Outcome::Failed(mut reason)) = (action, outcome.clone())
    else {
        return outcome;
    };
    let name = reason.container.clone().unwrap_or_default();
    let container = downward::find_container(pod.spec(), &name);
    let profile = container.and_then(|container| wanted_apparmor(pod, container));
    let Some(profile) = profile.filter(|profile| profile.type_ == "Localhost") else {
        return outcome;
    };
    let profile = profile.localhost_profile.unwrap_or_default();
    reason.message = format!(
        "{}; its AppArmor profile {profile:?} may forbid signals: it needs the rules \"signal \
         (receive) peer=unconfined,\" and \"signal (receive) peer=runc,\"",
        reason.message
    );
    Outcome::Failed(reason)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(profile: &serde_json::Value) -> DesiredPod {
        let profile = json!({"appArmorProfile": profile});
        let spec = json!({"containers": [
            {"name": "own", "securityContext": profile},
            {"name": "other"},
        ]});
        DesiredPod::of_test(spec, &[])
    }

    /// The message of a stop that failed for a container.
    fn said(pod: &DesiredPod, container: &str) -> String {
        let action = Action::StopContainers {
            targets: Vec::new(),
        };
        let reason = Reason::new("KillContainerError", "permission denied").of_container(container);
        match with_cause(pod, &action, Outcome::Failed(reason)) {
            Outcome::Failed(reason) => reason.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_of_the_hosts_is_named_when_a_stop_fails() {
        let strict = pod(&json!({"type": "Localhost", "localhostProfile": "strict"}));
        let message = said(&strict, "own");
        assert!(message.starts_with("permission denied; "), "{message}");
        for part in [
            "AppArmor",
            "\"strict\"",
            "signal (receive) peer=unconfined,",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(said(&strict, "other"), "permission denied");
        assert_eq!(said(&strict, "gone"), "permission denied");
        let usual = pod(&json!({"type": "RuntimeDefault"}));
        assert_eq!(said(&usual, "own"), "permission denied");
        let done = with_cause(
            &strict,
            &Action::CheckPorts { ports: Vec::new() },
            Outcome::Done,
        );
        assert_eq!(done, Outcome::Done);
    }
}
