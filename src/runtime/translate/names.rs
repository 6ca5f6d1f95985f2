//! The names a pod has for itself: hostname, domain and `/etc/hosts`.
//!
//! Follows kubelet v1.36's `GeneratePodHostNameAndDomain`, `nodeHostsFileContent` and
//! `managedHostsFileContent`.

use k8s_openapi::api::core::v1::{HostAlias, PodSpec};

use super::Host;
use crate::model::{DesiredPod, Reason};

/// The longest hostname of a pod: a DNS label.
const MAX_HOSTNAME: usize = 63;
/// The longest hostname the kernel takes.
const MAX_KERNEL_HOSTNAME: usize = 64;

/// A pod's hostname and, where it has a subdomain, its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNames {
    /// The hostname.
    pub hostname: String,
    /// `SUBDOMAIN.NAMESPACE.svc.CLUSTERDOMAIN`, or empty.
    pub domain: String,
}

/// The names of a pod.
#[must_use]
pub fn pod_names(pod: &DesiredPod, host: &Host) -> PodNames {
    let spec = pod.spec();
    if let Some(whole) = filled(spec.hostname_override.as_deref()) {
        return PodNames {
            hostname: whole.to_owned(),
            domain: String::new(),
        };
    }
    let hostname = match filled(spec.hostname.as_deref()) {
        Some(hostname) => hostname.to_owned(),
        None => shortened(&pod.key().name),
    };
    let domain = filled(spec.subdomain.as_deref()).map_or_else(String::new, |subdomain| {
        let cluster = &host.settings.cluster_domain;
        let domain = format!("{subdomain}.{}.svc.{cluster}", pod.key().namespace);
        // Differs: without a cluster domain kubelet leaves the dot at the end.
        domain.trim_end_matches('.').to_owned()
    });
    PodNames { hostname, domain }
}

/// The hostname the kernel is given in the sandbox; empty on the host network, which keeps the
/// host's.
///
/// # Errors
///
/// When the full name is asked for and is longer than the kernel takes.
pub fn kernel_hostname(pod: &DesiredPod, host: &Host) -> Result<String, Reason> {
    let spec = pod.spec();
    if spec.host_network == Some(true) {
        return Ok(String::new());
    }
    let names = pod_names(pod, host);
    if spec.set_hostname_as_fqdn != Some(true) || names.domain.is_empty() {
        return Ok(names.hostname);
    }
    let full = format!("{}.{}", names.hostname, names.domain);
    if full.len() > MAX_KERNEL_HOSTNAME {
        return Err(Reason::new(
            "FailedCreatePodSandBox",
            format!(
                "failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too \
                 long ({MAX_KERNEL_HOSTNAME} characters is the max, {} characters requested)",
                full.len()
            ),
        ));
    }
    Ok(full)
}

/// The pod's `/etc/hosts`. `host_hosts` is the host's own, which pods on the host network share.
#[must_use]
pub fn etc_hosts(pod: &DesiredPod, ips: &[String], host_hosts: &str, host: &Host) -> String {
    let spec = pod.spec();
    let mut text = if spec.host_network == Some(true) {
        format!("# Kubernetes-managed hosts file (host network).\n{host_hosts}")
    } else {
        managed(&pod_names(pod, host), ips)
    };
    text.push_str(&aliases(spec));
    text
}

fn managed(names: &PodNames, ips: &[String]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let PodNames { hostname, domain } = names;
    for ip in ips {
        text.push_str(&if domain.is_empty() {
            format!("{ip}\t{hostname}\n")
        } else {
            format!("{ip}\t{hostname}.{domain}\t{hostname}\n")
        });
    }
    text
}

fn aliases(spec: &PodSpec) -> String {
    let aliases: &[HostAlias] = spec.host_aliases.as_deref().unwrap_or_default();
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}

fn shortened(name: &str) -> String {
    if name.len() <= MAX_HOSTNAME {
        return name.to_owned();
    }
    let head: String = name.chars().take(MAX_HOSTNAME).collect();
    head.trim_end_matches(['-', '.']).to_owned()
}

/// The text, unless it is missing or empty.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|t| !t.is_empty())
}
