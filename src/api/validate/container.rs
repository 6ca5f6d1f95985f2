//! Containers: names, images, restart rules, and the parts they share with other kinds.

use std::collections::BTreeSet;

use super::at::{At, Errors};
use super::pod::{Context, Within};
use super::{env, mounts, names, probes, resources, security};
use crate::api::Cause;

/// Checks all containers of a pod.
pub(crate) fn containers(errors: &mut Errors, spec: &At<'_, '_>, context: &Context<'_>) {
    let main = spec.field("containers");
    if main.len() == 0 {
        errors.required(&main, "must list at least one container");
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for container in main.items() {
        common(errors, &container, context);
        let name = container.field("name");
        if !seen.insert(name.str()) {
            errors.duplicate(&name, name.str());
        }
        probes::all(errors, &container, context);
    }
    host_ports(errors, main.items());
    init_containers(errors, spec, context, seen);
    for container in spec.field("ephemeralContainers").items() {
        common(errors, &container, context);
    }
}

fn init_containers<'v>(
    errors: &mut Errors,
    spec: &At<'_, 'v>,
    context: &Context<'_>,
    mut seen: BTreeSet<&'v str>,
) {
    for container in spec.field("initContainers").items() {
        common(errors, &container, context);
        let name = container.field("name");
        if !name.str().is_empty() && !seen.insert(name.str()) {
            errors.duplicate(&name, name.str());
        }
        // They run one after the other, so ports are compared within each alone.
        host_ports(errors, std::iter::once(container));
        if container.field("restartPolicy").str() == "Always" {
            probes::all(errors, &container, context);
            continue;
        }
        for field in [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            let at = container.field(field);
            if at.is_set() {
                let message = "init containers have none unless restartPolicy is Always";
                errors.forbidden(&at, message);
            }
        }
    }
}

/// What holds for every kind of container.
fn common(errors: &mut Errors, container: &At<'_, '_>, context: &Context<'_>) {
    let name = container.field("name");
    if name.str().is_empty() {
        errors.required(&name, "must be set; every container needs a name");
    } else {
        errors.check(&name, names::label);
    }
    let image = container.field("image");
    if image.str().is_empty() {
        errors.required(&image, "must be set, as registry.example/name:tag");
    } else if context.within == Within::Pod && image.str().trim() != image.str() {
        errors.invalid(&image, "must not begin or end with white space; remove it");
    }
    let policy = container.field("terminationMessagePolicy");
    errors.required_one_of(&policy, &["File", "FallbackToLogsOnError"]);
    errors.required_one_of(&container.field("imagePullPolicy"), &PULL_POLICIES);
    ports(errors, &container.field("ports"));
    env::env(errors, container, context);
    mounts::mounts(errors, container, context);
    resources::container(errors, &container.field("resources"), context);
    resize_policy(errors, &container.field("resizePolicy"));
    security::container_context(errors, &container.field("securityContext"), context);
    restart_policy(errors, container);
}

/// When an image is pulled.
pub(crate) const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

fn ports(errors: &mut Errors, ports: &At<'_, '_>) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.field("name");
        if !name.str().is_empty() {
            errors.check(&name, names::port_name);
            if names::port_name(name.str()).is_none() && !seen.insert(name.str()) {
                errors.duplicate(&name, name.str());
            }
        }
        let (inner, outer) = (port.field("containerPort"), port.field("hostPort"));
        if inner.int() == 0 {
            errors.required(&inner, "must be set, 1 to 65535");
        } else if let Some(message) = names::port(inner.int()) {
            errors.invalid(&inner, message);
        }
        if outer.int() != 0
            && let Some(message) = names::port(outer.int())
        {
            errors.invalid(&outer, message);
        }
        errors.required_one_of(&port.field("protocol"), &["TCP", "UDP", "SCTP"]);
    }
}

/// Host ports that the same address and protocol would have to serve twice.
fn host_ports<'p, 'v: 'p>(errors: &mut Errors, containers: impl Iterator<Item = At<'p, 'v>>) {
    let mut seen = BTreeSet::new();
    for container in containers {
        for port in container.field("ports").items() {
            let number = port.field("hostPort");
            let key = (
                port.field("protocol").str(),
                port.field("hostIP").str(),
                number.int(),
            );
            if number.int() != 0 && !seen.insert(key) {
                let message = format!("host port {}/{} is taken before", number.int(), key.0);
                errors.add(number.path(), Cause::Duplicate, message);
            }
        }
    }
}

fn resize_policy(errors: &mut Errors, policies: &At<'_, '_>) {
    let mut seen = BTreeSet::new();
    for policy in policies.items() {
        let resource = policy.field("resourceName").str();
        if !seen.insert(resource) {
            errors.duplicate(&policy, resource);
        }
        let mut check = |value: &str, allowed: &[&str]| match value {
            "" => errors.required(policies, "each entry needs resourceName and restartPolicy"),
            value if !allowed.contains(&value) => {
                errors.unsupported(policies.path(), value, allowed);
            }
            _ => {}
        };
        check(resource, &["cpu", "memory"]);
        check(
            policy.field("restartPolicy").str(),
            &["NotRequired", "RestartContainer"],
        );
    }
}

/// At most this many restart rules may a container have.
const MAX_RULES: usize = 20;
/// At most this many exit codes may a rule list.
const MAX_EXIT_CODES: usize = 255;

fn restart_policy(errors: &mut Errors, container: &At<'_, '_>) {
    let (policy, rules) = (
        container.field("restartPolicy"),
        container.field("restartPolicyRules"),
    );
    if policy.is_set() {
        errors.one_of(&policy, &["Always", "OnFailure", "Never"]);
    } else if rules.len() > 0 {
        errors.required(&policy, "must be set where there are restartPolicyRules");
    }
    if rules.len() > MAX_RULES {
        let message = format!("has {} rules; {MAX_RULES} are allowed", rules.len());
        errors.add(rules.path(), Cause::TooMany, message);
    }
    for rule in rules.items() {
        errors.one_of(&rule.field("action"), &["Restart", "RestartAllContainers"]);
        let codes = rule.field("exitCodes");
        if !codes.is_set() {
            errors.required(&codes, "must say for which exit codes the rule is");
            continue;
        }
        errors.one_of(&codes.field("operator"), &["In", "NotIn"]);
        let values = codes.field("values");
        if values.len() > MAX_EXIT_CODES {
            let message = format!("has {} values; {MAX_EXIT_CODES} are allowed", values.len());
            errors.add(values.path(), Cause::TooMany, message);
        }
    }
}
