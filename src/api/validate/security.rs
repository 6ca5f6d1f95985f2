//! Security contexts of the pod and of containers.

use std::collections::BTreeSet;

use super::at::{At, Errors};
use super::names;
use super::pod::Context;
use crate::api::Cause;

/// Checks the pod's security context and its use of the host's namespaces.
pub(crate) fn pod_context(errors: &mut Errors, spec: &At<'_, '_>) {
    let context = spec.field("securityContext");
    ids(errors, &context, &["fsGroup", "runAsUser", "runAsGroup"]);
    for group in context.field("supplementalGroups").items() {
        if let Some(message) = names::id(group.int()) {
            errors.invalid(&group, message);
        }
    }
    if spec.field("shareProcessNamespace").is_true() && spec.field("hostPID").is_true() {
        // The reference reports it as if it stood in the security context.
        let reported = context.field("shareProcessNamespace");
        errors.add(
            reported.path(),
            Cause::Invalid,
            "excludes hostPID; keep one of the two",
        );
    }
    sysctls(errors, spec, &context.field("sysctls"));
    for (name, allowed) in [
        (
            "fsGroupChangePolicy",
            ["OnRootMismatch", "Always"].as_slice(),
        ),
        ("supplementalGroupsPolicy", &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &["Recursive"]),
    ] {
        let at = context.field(name);
        if at.is_set() {
            errors.one_of(&at, allowed);
        }
    }
    profiles(errors, &context);
    user_namespace(errors, spec);
}

fn ids(errors: &mut Errors, context: &At<'_, '_>, fields: &[&'static str]) {
    for name in fields {
        let at = context.field(name);
        if at.is_set()
            && let Some(message) = names::id(at.int())
        {
            errors.invalid(&at, message);
        }
    }
}

/// A pod with its own user namespace shares no other namespace with the host.
fn user_namespace(errors: &mut Errors, spec: &At<'_, '_>) {
    if spec.field("hostUsers").flag() != Some(false) {
        return;
    }
    for (name, reported) in [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ] {
        if spec.field(name).is_true() {
            errors.forbidden(
                &spec.field(reported),
                "excludes hostUsers: false; keep one of the two",
            );
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
            && part
                .bytes()
                .all(|byte| plain(byte) || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

/// Which of the pod's namespaces a sysctl belongs to, if any.
fn namespace(name: &str) -> Option<&'static str> {
    // A slash that comes before any dot is the separator, and dots are then part of names.
    let dotted = match name.find(['.', '/']) {
        Some(at) if name.as_bytes().get(at) == Some(&b'/') => name.replace('/', "."),
        _ => name.to_owned(),
    };
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."];
    if dotted == "kernel.sem" || ipc.iter().any(|prefix| dotted.starts_with(prefix)) {
        return Some("ipc");
    }
    dotted.starts_with("net.").then_some("net")
}

fn sysctls(errors: &mut Errors, spec: &At<'_, '_>, sysctls: &At<'_, '_>) {
    let mut seen = BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.field("name");
        if name.str().is_empty() {
            errors.required(&name, "must be set, as net.ipv4.tcp_syncookies");
        } else if !is_sysctl(name.str()) {
            errors.invalid(&name, format!("{:?} is no name of a sysctl", name.str()));
        } else if seen.contains(name.str()) {
            errors.duplicate(&name, name.str());
        }
        seen.insert(name.str());
        for (kind, field) in [("net", "hostNetwork"), ("ipc", "hostIPC")] {
            if namespace(name.str()) == Some(kind) && spec.field(field).is_true() {
                errors.invalid(
                    &name,
                    format!("would change the host, because {field} is true"),
                );
            }
        }
    }
}

/// The seccomp, AppArmor and Windows parts that pods and containers have alike.
fn profiles(errors: &mut Errors, context: &At<'_, '_>) {
    let seccomp = context.field("seccompProfile");
    if seccomp.is_set() {
        profile(errors, &seccomp);
        let local = seccomp.field("localhostProfile");
        if seccomp.field("type").str() == "Localhost" && local.is_set() {
            errors.check(&local, names::relative);
        }
    }
    let app_armor = context.field("appArmorProfile");
    if app_armor.is_set() {
        profile(errors, &app_armor);
        let local = app_armor.field("localhostProfile");
        if app_armor.field("type").str() == "Localhost" && local.is_set() {
            if local.str().trim() != local.str() {
                errors.invalid(&local, "must not begin or end with white space; remove it");
            } else if local.str().is_empty() {
                errors.required(&local, "must name a profile where type is Localhost");
            }
            if local.str().len() > 4095 {
                errors.add(local.path(), Cause::TooLong, "must have at most 4095 bytes");
            }
        }
    }
    windows_options(errors, &context.field("windowsOptions"));
}

fn profile(errors: &mut Errors, profile: &At<'_, '_>) {
    let (ty, local) = (profile.field("type"), profile.field("localhostProfile"));
    errors.required_one_of(&ty, &["Localhost", "RuntimeDefault", "Unconfined"]);
    let app_armor_unknown = profile.path().ends_with("appArmorProfile")
        && !["RuntimeDefault", "Unconfined"].contains(&ty.str());
    if ty.str() == "Localhost" {
        if !local.is_set() {
            errors.required(&local, "must name a profile where type is Localhost");
        }
    } else if local.is_set() && !app_armor_unknown {
        errors.invalid(
            &local,
            "belongs to type Localhost only; remove it, or set that type",
        );
    }
}

fn windows_options(errors: &mut Errors, options: &At<'_, '_>) {
    let name = options.field("gmsaCredentialSpecName");
    if name.is_set() {
        errors.check(&name, names::subdomain);
    }
    let spec = options.field("gmsaCredentialSpec");
    if spec.is_set() && (spec.str().is_empty() || spec.str().len() > 64 * 1024) {
        errors.invalid(&spec, "must have 1 to 65536 bytes");
    }
    let user = options.field("runAsUserName");
    if user.is_set() && (user.str().is_empty() || user.str().chars().any(char::is_control)) {
        errors.invalid(&user, "must be a user name without control characters");
    }
}

/// Checks the security context of a container.
pub(crate) fn container_context(errors: &mut Errors, at: &At<'_, '_>, context: &Context<'_>) {
    if !at.is_set() {
        return;
    }
    ids(errors, at, &["runAsUser", "runAsGroup"]);
    let proc_mount = at.field("procMount");
    if proc_mount.is_set() {
        errors.one_of(&proc_mount, &["Default", "Unmasked"]);
        if proc_mount.str() == "Unmasked" && context.host_users {
            errors.invalid(&proc_mount, "Unmasked needs hostUsers: false in the pod");
        }
    }
    profiles(errors, at);
    if at.field("allowPrivilegeEscalation").flag() == Some(false) {
        if at.field("privileged").is_true() {
            errors.invalid(
                at,
                "allowPrivilegeEscalation: false excludes privileged: true",
            );
        }
        let capabilities = at.field("capabilities");
        let added = capabilities.field("add");
        if added
            .items()
            .any(|capability| capability.str() == "CAP_SYS_ADMIN")
        {
            errors.invalid(
                at,
                "allowPrivilegeEscalation: false excludes adding CAP_SYS_ADMIN",
            );
        }
    }
}
