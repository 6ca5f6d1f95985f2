//! A pod's sandbox: names, DNS, ports, labels, cgroup parent, namespaces and security context.
//!
//! Follows kubelet v1.36's `generatePodSandboxConfig`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ContainerPort;

use super::{Host, cgroup, dns, labels, linux, names, profiles, security, sysctls};
use crate::cri;
use crate::model::resources::{of_quantities, pod_requests};
use crate::model::{Amount, DesiredPod, NodeFacts, Reason};
use crate::runtime::files::{self, PodFiles};

/// The configuration of a pod's sandbox; sent again, unchanged, with each of its containers.
///
/// # Errors
///
/// When the pod asks for what this node or runtime cannot do, with kubelet's words for it.
pub fn sandbox(
    pod: &DesiredPod,
    attempt: u32,
    files: &PodFiles,
    host: &Host,
) -> Result<cri::PodSandboxConfig, Reason> {
    let spec = pod.spec();
    let key = pod.key();
    check_features(pod, host)?;
    check_fit(pod, host)?;
    profiles::check_apparmor(pod, host)?;
    let directory = files::log_directory(key, &host.pod_logs);
    let meta = &pod.record.pod.metadata;
    let mut all_labels = labels::copied(meta.labels.as_ref());
    all_labels.extend(labels::identity(pod, &host.node.name));
    let mut annotations = labels::copied(meta.annotations.as_ref());
    annotations.insert(labels::SET.to_owned(), pod.record.set.name.clone());
    let state = host.pods_root.parent().unwrap_or(&host.pods_root);
    annotations.insert(labels::STATE.to_owned(), state.display().to_string());
    Ok(cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: key.name.clone(),
            uid: key.uid.as_str().to_owned(),
            namespace: key.namespace.clone(),
            attempt,
        }),
        hostname: names::kernel_hostname(pod, host)?,
        log_directory: directory.to_string_lossy().into_owned(),
        dns_config: Some(dns::config(pod, &files.resolv, host)),
        port_mappings: port_mappings(pod),
        labels: all_labels,
        annotations,
        linux: Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: cgroup::cgroup_parent(pod, host),
            security_context: Some(security::sandbox(spec, files.userns)),
            sysctls: sysctls::sysctls(pod, host)?,
            overhead: Some(linux::overhead(spec, host)),
            resources: Some(linux::sandbox_resources(spec, host)),
        }),
    })
}

fn check_features(pod: &DesiredPod, host: &Host) -> Result<(), Reason> {
    let spec = pod.spec();
    if spec.host_users == Some(false) && !host.features.user_namespaces {
        return Err(Reason::new(
            "FailedCreatePodSandBox",
            "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
        ));
    }
    let policy = spec
        .security_context
        .as_ref()
        .and_then(|s| s.supplemental_groups_policy.as_deref());
    if policy == Some("Strict") && !host.features.supplemental_groups_policy {
        return Err(Reason::new(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        ));
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return Err(Reason::new(
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        ));
    }
    Ok(())
}

/// Refuses a pod that asks for more than the node has, as kubelet's admission does.
///
/// Differs: what other pods ask for is not counted; no scheduler could place this one elsewhere.
fn check_fit(pod: &DesiredPod, host: &Host) -> Result<(), Reason> {
    let spec = pod.spec();
    let node = &host.node;
    let mut requests = pod_requests(spec);
    for (name, amount) in of_quantities(spec.overhead.as_ref()) {
        let sum = requests.entry(name).or_default();
        *sum = sum.plus(&amount);
    }
    for (name, requested) in &requests {
        let capacity = match name.as_str() {
            "cpu" => Amount::millis(node.allocatable_cpu_millis),
            "memory" => Amount::whole(node.allocatable_memory_bytes),
            "ephemeral-storage" => Amount::whole(node.ephemeral_storage_bytes),
            _ => match name.strip_prefix("hugepages-") {
                Some(size) => hugepages(node, size),
                None => continue,
            },
        };
        // Facts that are not known refuse nothing.
        if node.memory_bytes > 0 && *requested > capacity {
            let (requested, capacity) = match name.as_str() {
                "cpu" => (requested.milli_value(), capacity.milli_value()),
                _ => (requested.value(), capacity.value()),
            };
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {requested}, used: 0, \
                 capacity: {capacity}"
            );
            return Err(Reason::new(format!("OutOf{name}"), message));
        }
    }
    Ok(())
}

/// How much of a huge page size the node has.
fn hugepages(node: &NodeFacts, size: &str) -> Amount {
    let size = u64::try_from(Amount::written(size).value()).unwrap_or(0);
    let pages = node.hugepages.get(&size).copied().unwrap_or(0);
    Amount::whole(size.saturating_mul(pages))
}

/// Every port of the main containers, also those without a host port, as kubelet sends them; of
/// ports with one name, or alike in all, the first.
fn port_mappings(pod: &DesiredPod) -> Vec<cri::PortMapping> {
    let mut mappings = Vec::new();
    for container in &pod.spec().containers {
        let mut seen = BTreeSet::new();
        for port in container.ports.iter().flatten() {
            let name = match port.name.as_deref() {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => format!(
                    "{:?}-{:?}:{}:{:?}",
                    port.protocol, port.host_ip, port.container_port, port.host_port
                ),
            };
            if seen.insert(name) {
                mappings.push(port_mapping(port));
            }
        }
    }
    mappings
}

fn port_mapping(port: &ContainerPort) -> cri::PortMapping {
    cri::PortMapping {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => cri::Protocol::Udp,
            Some("SCTP") => cri::Protocol::Sctp,
            _ => cri::Protocol::Tcp,
        }
        .into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or_default(),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    }
}
