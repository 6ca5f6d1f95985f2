//! What a pod and its containers may use: cpu, memory, huge pages, and oom_score_adj.
//!
//! Follows kubelet v1.36's `cm` (`MilliCPUToShares`, `MilliCPUToQuota`), kuberuntime's
//! `calculateLinuxResources` and `qos.GetContainerOOMScoreAdjust`.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::Host;
use crate::cri::{HugepageLimit, LinuxContainerResources};
use crate::model::resources::{
    Amounts, QosClass, Side, amounts, container_total, is_sidecar, of_quantities, pod_limits,
    pod_requests, qos_class,
};
use crate::model::{Amount, NodeFacts};

/// The period of a cpu quota in microseconds.
pub(super) const CPU_PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1000;
const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;

const GUARANTEED_OOM_SCORE: i64 = -997;
const BEST_EFFORT_OOM_SCORE: i64 = 1000;

/// What the containers of a pod may use together.
#[must_use]
pub fn sandbox_resources(spec: &PodSpec, host: &Host) -> LinuxContainerResources {
    calculated(&pod_requests(spec), &pod_limits(spec), host)
}

/// What the runtime itself may use for a pod; empty where the pod says nothing of it.
#[must_use]
pub fn overhead(spec: &PodSpec, host: &Host) -> LinuxContainerResources {
    match of_quantities(spec.overhead.as_ref()) {
        overhead if overhead.is_empty() => LinuxContainerResources::default(),
        overhead => calculated(&overhead, &overhead, host),
    }
}

/// What one container may use; where it has no limit of its own the pod's is taken.
#[must_use]
pub fn container_resources(
    spec: &PodSpec,
    container: &Container,
    host: &Host,
) -> LinuxContainerResources {
    let requests = amounts(container.resources.as_ref(), Side::Requests);
    let mut limits = amounts(container.resources.as_ref(), Side::Limits);
    for (name, amount) in amounts(spec.resources.as_ref(), Side::Limits) {
        if matches!(name.as_str(), "cpu" | "memory") {
            limits.entry(name).or_insert(amount);
        }
    }
    let mut resources = calculated(&requests, &limits, host);
    // Without swap for pods the limit of memory and swap together is that of memory.
    resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
    resources.oom_score_adj = oom_score_adj(spec, container, &host.node);
    resources.hugepage_limits = hugepage_limits(&limits, &host.node);
    if host.features.cgroup_v2 {
        // All processes of a container end together when it runs out of memory.
        resources.unified = HashMap::from([("memory.oom.group".to_owned(), "1".to_owned())]);
    }
    resources
}

fn calculated(requests: &Amounts, limits: &Amounts, host: &Host) -> LinuxContainerResources {
    let of = |amounts: &Amounts, name: &str| amounts.get(name).cloned().unwrap_or_default();
    let (cpu_request, cpu_limit) = (of(requests, "cpu"), of(limits, "cpu"));
    // A limit alone is its own request.
    let shares = if cpu_request.is_zero() && !cpu_limit.is_zero() {
        cpu_limit.clone()
    } else {
        cpu_request
    };
    let mut resources = LinuxContainerResources {
        cpu_shares: cpu_shares(&shares),
        memory_limit_in_bytes: of(limits, "memory").value(),
        ..LinuxContainerResources::default()
    };
    if host.settings.cpu_cfs_quota {
        resources.cpu_period = CPU_PERIOD;
        resources.cpu_quota = cpu_quota(&cpu_limit);
    }
    resources
}

/// Shares of the processors' time.
#[must_use]
pub fn cpu_shares(cpu: &Amount) -> i64 {
    (cpu.milli_value().saturating_mul(1024) / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// Microseconds of processor time a period, 0 for no limit.
#[must_use]
pub fn cpu_quota(cpu: &Amount) -> i64 {
    if cpu.is_zero() {
        return 0;
    }
    (cpu.milli_value().saturating_mul(CPU_PERIOD) / 1000).max(MIN_QUOTA)
}

/// Limits for every huge page size of the node, 0 where the container asks for none.
fn hugepage_limits(limits: &Amounts, node: &NodeFacts) -> Vec<HugepageLimit> {
    node.hugepages
        .keys()
        .map(|&size| {
            let asked = limits
                .iter()
                .find(|(name, _)| {
                    name.strip_prefix("hugepages-").is_some_and(|text| {
                        u64::try_from(Amount::written(text).value()) == Ok(size)
                    })
                })
                .map_or(0, |(_, amount)| amount.value());
            HugepageLimit {
                page_size: page_size(size),
                limit: u64::try_from(asked).unwrap_or(0),
            }
        })
        .collect()
}

/// A size as runc names it: `2MB`, `1GB`.
fn page_size(bytes: u64) -> String {
    let mut size = bytes;
    let mut units = ["B", "KB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while size >= 1024 && size.is_multiple_of(1024) {
        let Some(next) = units.next() else { break };
        unit = next;
        size /= 1024;
    }
    format!("{size}{unit}")
}

/// How gladly the kernel ends the container when memory runs out: from -997 for what must stay to
/// 1000 for what asked for nothing.
#[must_use]
pub fn oom_score_adj(spec: &PodSpec, container: &Container, node: &NodeFacts) -> i64 {
    if spec.priority_class_name.as_deref() == Some("system-node-critical") {
        return GUARANTEED_OOM_SCORE;
    }
    match qos_class(spec) {
        QosClass::Guaranteed => return GUARANTEED_OOM_SCORE,
        QosClass::BestEffort => return BEST_EFFORT_OOM_SCORE,
        QosClass::Burstable => {}
    }
    let capacity = i64::try_from(node.memory_bytes).unwrap_or(i64::MAX).max(1);
    let spare = spare_request(spec);
    let score = |request: i64| {
        1000 - i64::try_from(1000 * i128::from(request + spare) / i128::from(capacity))
            .unwrap_or(1000)
    };
    let mut adjust = score(memory_request(container));
    let sidecar = |c: &Container| c.name == container.name && is_sidecar(c);
    if spec.init_containers.iter().flatten().any(sidecar) {
        // A sidecar is not ended before the main containers that need it.
        let least = spec.containers.iter().map(memory_request).min();
        adjust = adjust.min(score(least.unwrap_or_default()));
    }
    adjust.clamp(1000 + GUARANTEED_OOM_SCORE, BEST_EFFORT_OOM_SCORE - 1)
}

/// A container's share of the memory that the pod requests beyond its containers' requests.
fn spare_request(spec: &PodSpec) -> i64 {
    let of_pod = amounts(spec.resources.as_ref(), Side::Requests);
    let Some(of_pod) = of_pod.get("memory").filter(|a| !a.is_zero()) else {
        return 0;
    };
    let of_containers = container_total(spec, Side::Requests)
        .get("memory")
        .cloned()
        .unwrap_or_default();
    let count = spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len);
    (of_pod.value() - of_containers.value()) / i64::try_from(count).unwrap_or(1).max(1)
}

fn memory_request(container: &Container) -> i64 {
    amounts(container.resources.as_ref(), Side::Requests)
        .get("memory")
        .map_or(0, |amount| amount.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_are_named_as_runc_does() {
        assert_eq!(page_size(2 << 20), "2MB");
        assert_eq!(page_size(1 << 30), "1GB");
        assert_eq!(page_size(64 << 10), "64KB");
    }
}
