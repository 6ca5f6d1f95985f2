//! The host ports of pods, and whether two pods can be beside each other on one node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;

use crate::model::HostPort;

/// The host ports a pod declares; under `hostNetwork` every container port is one, as the API
/// server defaults a pod.
#[must_use]
pub fn host_ports(spec: &PodSpec) -> BTreeSet<HostPort> {
    let on_host = spec.host_network == Some(true);
    let containers = spec.init_containers.iter().flatten();
    let ports = containers
        .chain(&spec.containers)
        .flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let fallback = on_host.then_some(port.container_port);
            let number = port.host_port.filter(|port| *port > 0).or(fallback)?;
            Some(HostPort {
                port: number,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                ip: port.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect()
}

/// Whether the pod's network has ports of the node as long as its sandbox is there, whether or not
/// a container runs.
#[must_use]
pub fn publishes(spec: &PodSpec) -> bool {
    spec.host_network != Some(true) && !host_ports(spec).is_empty()
}

/// The first port that both pods want.
#[must_use]
pub fn clash(one: &PodSpec, other: &PodSpec) -> Option<HostPort> {
    let taken = host_ports(other);
    let wanted = host_ports(one);
    wanted
        .into_iter()
        .find(|port| taken.iter().any(|other| overlap(port, other)))
}

/// As the scheduler's NodePorts plugin: the same port and protocol, and the same address or one of
/// them all addresses.
fn overlap(one: &HostPort, other: &HostPort) -> bool {
    let every = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    one.port == other.port
        && one.protocol == other.protocol
        && (one.ip == other.ip || every(&one.ip) || every(&other.ip))
}

/// The ports that have to be free before `new` takes the place of `old`: those it has besides.
#[must_use]
pub fn to_be_freed(new: &PodSpec, old: &PodSpec) -> Vec<HostPort> {
    let had = host_ports(old);
    let wanted = host_ports(new).into_iter();
    wanted
        .filter(|port| !had.iter().any(|other| overlap(port, other)))
        .collect()
}
