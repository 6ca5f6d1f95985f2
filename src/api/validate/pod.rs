//! The pod spec: what belongs to the pod as a whole, and its parts in order.

use std::collections::BTreeMap;

use serde_json::Value;

use super::at::{At, Errors};
use super::{
    affinity, container, labels, names, network, resources, scheduling, security, volumes,
};
use crate::api::Cause;

/// What the spec is part of: a few rules hold for pods only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// A template in another object.
    Template,
    /// A pod that is about to run.
    Pod,
}

/// What checks of containers need to know of their pod.
pub(crate) struct Context<'v> {
    /// The pod's valid volumes by name.
    pub(crate) volumes: BTreeMap<&'v str, &'v Value>,
    /// The names of the pod's resource claims.
    pub(crate) claims: Vec<&'v str>,
    /// The pod's grace period in seconds.
    pub(crate) grace: i64,
    /// Whether the pod shares the host's user namespace.
    pub(crate) host_users: bool,
    /// Whether it is a pod or a template.
    pub(crate) within: Within,
}

/// Checks a pod spec.
pub(crate) fn pod_spec(errors: &mut Errors, spec: &At<'_, '_>, within: Within) {
    let volumes = volumes::volumes(errors, &spec.field("volumes"), within);
    let claims = spec.field("resourceClaims");
    let context = Context {
        volumes,
        claims: claims
            .items()
            .map(|claim| claim.field("name").str())
            .filter(|name| !name.is_empty())
            .collect(),
        grace: spec.field("terminationGracePeriodSeconds").int(),
        host_users: spec.field("hostUsers").flag() != Some(false),
        within,
    };
    resources::pod_claims(errors, &claims);
    container::containers(errors, spec, &context);
    resources::pod_resources(errors, spec, &context);
    choices(errors, spec);
    security::pod_context(errors, spec);
    network::pod_network(errors, spec, within);
    affinity::affinity(errors, &spec.field("affinity"));
    scheduling::scheduling(errors, spec);
    object_names(errors, spec);
    host_process(errors, spec);
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline.is_set() && !(1..=i64::from(i32::MAX)).contains(&deadline.int()) {
        errors.invalid(
            &deadline,
            format!("is {}; it must be 1 or more", deadline.int()),
        );
    }
    let overhead = spec.field("overhead");
    resources::overhead(errors, &overhead);
    operating_system(errors, spec);
    host_processes(errors, spec);
}

/// The fields whose value is one of a few words.
fn choices(errors: &mut Errors, spec: &At<'_, '_>) {
    let restart = spec.field("restartPolicy");
    errors.required_one_of(&restart, &["Always", "OnFailure", "Never"]);
    let dns = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    errors.required_one_of(&spec.field("dnsPolicy"), &dns);
    let preemption = spec.field("preemptionPolicy");
    if preemption.is_set() {
        errors.required_one_of(&preemption, &["PreemptLowerPriority", "Never"]);
    }
    let selector = spec.field("nodeSelector");
    labels::labels(errors, &selector, &selector.path());
    for gate in spec.field("readinessGates").items() {
        errors.check(&gate.field("conditionType"), names::qualified);
    }
}

/// The names of other objects.
fn object_names(errors: &mut Errors, spec: &At<'_, '_>) {
    for name in ["serviceAccountName", "nodeName", "priorityClassName"] {
        let at = spec.field(name);
        if !at.str().is_empty() {
            errors.check(&at, names::subdomain);
        }
    }
    let runtime_class = spec.field("runtimeClassName");
    if runtime_class.is_set() {
        errors.check(&runtime_class, names::subdomain);
    }
}

/// Windows containers that are processes of the host: all of the pod's are, on the host's network.
fn host_process(errors: &mut Errors, spec: &At<'_, '_>) {
    let context = spec.field("securityContext");
    let options = context.field("windowsOptions");
    let of_pod = options.field("hostProcess").flag();
    let (mut all, mut count) = (0, 0);
    each_security_context(spec, |context| {
        let options = context.field("windowsOptions");
        let own = options.field("hostProcess");
        if own.is_set() && of_pod.is_some_and(|of_pod| Some(of_pod) != own.flag()) {
            errors.invalid(
                &own,
                "differs from the pod's hostProcess; make the two the same",
            );
        }
        all += 1;
        count += usize::from(own.flag().or(of_pod) == Some(true));
    });
    if count == 0 {
        return;
    }
    if count != all {
        errors.invalid(spec, "where one container is a hostProcess, all must be");
    }
    let network = spec.field("hostNetwork");
    if !network.is_true() {
        errors.invalid(&network, "must be true where containers are hostProcess");
    }
}

/// The operating system, and the fields that make no sense on it.
fn operating_system(errors: &mut Errors, spec: &At<'_, '_>) {
    let os = spec.field("os");
    if !os.is_set() {
        return;
    }
    let name = os.field("name");
    match name.str() {
        "" => errors.required(&name, "must be set; use linux"),
        "linux" => linux(errors, spec),
        "windows" => windows(errors, spec),
        other => errors.unsupported(os.path(), other, &["linux", "windows"]),
    }
}

fn linux(errors: &mut Errors, spec: &At<'_, '_>) {
    let message = "has no meaning for a Linux pod; remove it";
    let context = spec.field("securityContext");
    let options = context.field("windowsOptions");
    if options.is_set() {
        errors.forbidden(&options, message);
    }
    each_security_context(spec, |context| {
        let options = context.field("windowsOptions");
        if options.is_set() {
            errors.forbidden(&options, message);
        }
    });
}

fn windows(errors: &mut Errors, spec: &At<'_, '_>) {
    let mut refuse = |at: &At<'_, '_>| {
        if at.is_set() {
            errors.add(
                at.path(),
                Cause::Forbidden,
                "has no meaning for a Windows pod; remove it",
            );
        }
    };
    for name in ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] {
        refuse(&spec.field(name));
    }
    let context = spec.field("securityContext");
    for name in [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ] {
        refuse(&context.field(name));
    }
    each_security_context(spec, |context| {
        for name in [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ] {
            refuse(&context.field(name));
        }
    });
}

/// Processes of a Windows host: in all containers or none, and on the host network.
fn host_processes(errors: &mut Errors, spec: &At<'_, '_>) {
    let flag = |context: &At<'_, '_>| {
        let options = context.field("windowsOptions");
        options.field("hostProcess").flag()
    };
    let of_pod = flag(&spec.field("securityContext"));
    let (mut all, mut with) = (0, 0);
    each_security_context(spec, |context| {
        let own = flag(context);
        if own.is_some() && of_pod.is_some() && own != of_pod {
            let options = context.field("windowsOptions");
            errors.invalid(
                &options.field("hostProcess"),
                "must be the same as that of the pod",
            );
        }
        all += 1;
        with += i32::from(own.or(of_pod) == Some(true));
    });
    if with == 0 {
        return;
    }
    if with != all {
        errors.invalid(
            spec,
            "must have all containers be hostProcess containers, or none",
        );
    }
    let network = spec.field("hostNetwork");
    if !network.is_true() {
        errors.invalid(&network, "must be true for hostProcess containers");
    }
}

fn each_security_context(spec: &At<'_, '_>, mut check: impl FnMut(&At<'_, '_>)) {
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.field(kind).items() {
            check(&container.field("securityContext"));
        }
    }
}
