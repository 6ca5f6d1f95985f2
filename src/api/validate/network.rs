//! Host network, DNS, host names and host aliases of a pod.

use super::at::{At, Errors};
use super::names;
use super::pod::Within;
use crate::api::Cause;

/// Checks everything about the pod's network.
pub(crate) fn pod_network(errors: &mut Errors, spec: &At<'_, '_>, within: Within) {
    if spec.field("hostNetwork").is_true() {
        host_network(errors, &spec.field("containers"), within);
    }
    dns(errors, spec);
    for name in ["hostname", "subdomain"] {
        let at = spec.field(name);
        if !at.str().is_empty() {
            errors.check(&at, names::label);
        }
    }
    hostname_override(errors, spec);
    for alias in spec.field("hostAliases").items() {
        errors.check(&alias.field("ip"), names::ip);
        for hostname in alias.field("hostnames").items() {
            errors.check(&hostname, names::subdomain);
        }
    }
}

/// On the host's network a container's port is the host's port.
fn host_network(errors: &mut Errors, containers: &At<'_, '_>, within: Within) {
    for container in containers.items() {
        for port in container.field("ports").items() {
            let (outer, inner) = (port.field("hostPort"), port.field("containerPort"));
            let open = within == Within::Template && outer.int() == 0;
            if !open && outer.int() != inner.int() {
                let message = format!(
                    "must be containerPort, {}, because hostNetwork is true; or leave it out",
                    inner.int()
                );
                errors.invalid(&outer, message);
            }
        }
    }
}

/// What the C library's resolver takes.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

fn dns(errors: &mut Errors, spec: &At<'_, '_>) {
    let config = spec.field("dnsConfig");
    let servers = config.field("nameservers");
    if spec.field("dnsPolicy").str() == "None" {
        if !config.is_set() {
            errors.required(&config, "must be set where dnsPolicy is None");
            return;
        }
        if servers.len() == 0 {
            errors.required(
                &servers,
                "must list at least one server where dnsPolicy is None",
            );
            return;
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        errors.invalid(
            &servers,
            format!("has {}; at most {MAX_NAMESERVERS} are used", servers.len()),
        );
    }
    for server in servers.items() {
        errors.check(&server, names::ip);
    }
    let searches = config.field("searches");
    if searches.len() > MAX_SEARCHES {
        errors.invalid(
            &searches,
            format!("has {}; at most {MAX_SEARCHES} are used", searches.len()),
        );
    }
    let characters: usize = searches.items().map(|search| search.str().len() + 1).sum();
    if characters.saturating_sub(1) > MAX_SEARCH_CHARACTERS {
        let message = format!("has more than {MAX_SEARCH_CHARACTERS} characters together");
        errors.invalid(&searches, message);
    }
    for search in searches.items() {
        if search.str() != "." {
            let domain = search.str().strip_suffix('.').unwrap_or(search.str());
            if let Some(message) = names::search_domain(domain) {
                errors.invalid(&search, message);
            }
        }
    }
    for option in config.field("options").items() {
        if option.field("name").str().is_empty() {
            errors.required(&option, "must have a name");
        }
    }
}

/// The longest host name Linux takes.
const MAX_HOSTNAME: usize = 64;

fn hostname_override(errors: &mut Errors, spec: &At<'_, '_>) {
    let at = spec.field("hostnameOverride");
    if !at.is_set() {
        return;
    }
    for field in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec.field(field).is_true() {
            errors.forbidden(&at, format!("excludes {field}: true; keep one of the two"));
        }
    }
    if at.str().len() > MAX_HOSTNAME {
        let message = format!("must have at most {MAX_HOSTNAME} characters");
        errors.add(at.path(), Cause::TooLong, message);
    }
    errors.check(&at, names::subdomain);
}
