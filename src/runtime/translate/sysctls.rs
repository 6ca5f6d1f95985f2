//! Kernel parameters of a pod, and which of them are safe.
//!
//! Follows kubelet v1.36's `sysctl` package: the safe list, the operator's allowlist with
//! prefixes, and parameters whose namespace the pod shares with the host.

use std::collections::HashMap;

use super::Host;
use crate::model::{DesiredPod, Reason};

/// Parameters that stay inside the pod and cannot harm the node. Kernels old enough to lack
/// the namespaced forms of some of them are older than this agent's supported hosts.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// The parameters to set, by their dotted names.
///
/// # Errors
///
/// `SysctlForbidden` when one is neither safe nor allowed, or is the host's.
pub fn sysctls(pod: &DesiredPod, host: &Host) -> Result<HashMap<String, String>, Reason> {
    let spec = pod.spec();
    let written = spec.security_context.as_ref();
    let mut set = HashMap::new();
    for sysctl in written
        .and_then(|s| s.sysctls.as_ref())
        .into_iter()
        .flatten()
    {
        let name = dotted(&sysctl.name);
        let forbidden = |why: &str| {
            let message = format!("forbidden sysctl: \"{}\" {why}", sysctl.name);
            Err(Reason::new("SysctlForbidden", message))
        };
        let allowed = SAFE.contains(&name.as_str())
            || host.settings.allowed_unsafe_sysctls.iter().any(|pattern| {
                match pattern.strip_suffix('*') {
                    Some(prefix) => name.starts_with(prefix),
                    None => *pattern == name,
                }
            });
        if !allowed {
            return forbidden("not allowlisted");
        }
        if spec.host_network == Some(true) && name.starts_with("net.") {
            return forbidden("not allowed with host net enabled");
        }
        if spec.host_ipc == Some(true) && is_ipc(&name) {
            return forbidden("not allowed with host ipc enabled");
        }
        set.insert(name, sysctl.value.clone());
    }
    Ok(set)
}

fn is_ipc(name: &str) -> bool {
    name == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// A name written with slashes in its dotted form; where a dot comes first it is dotted already.
fn dotted(name: &str) -> String {
    let first = name.find(['.', '/']).map(|at| name.as_bytes()[at]);
    if first != Some(b'/') {
        return name.to_owned();
    }
    name.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::dotted;

    #[test]
    fn slashes_separate_only_where_one_comes_first() {
        assert_eq!(dotted("net/ipv4/conf/eth0.1/x"), "net.ipv4.conf.eth0/1.x");
        assert_eq!(dotted("net.ipv4/x"), "net.ipv4/x");
    }
}
