//! What a pod and its containers may use: cpu, memory, huge pages, and oom_score_adj.
//!
//! Follows kubelet v1.36's `cm` (`MilliCPUToShares`, `MilliCPUToQuota`), kuberuntime's
//! `calculateLinuxResources` and `qos.GetContainerOOMScoreAdjust`.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::{Host, SwapBehavior};
use crate::cri::{HugepageLimit, LinuxContainerResources};
use crate::model::resources::{
    Amounts, QosClass, Side, amounts, container_total, is_sidecar, of_quantities, pod_limits,
    pod_requests, qos_class,
};
use crate::model::{Amount, NodeFacts};

/// The period of a cpu quota in microseconds.
pub(super) const CPU_PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1000;
/// The least share of the processors' time.
pub const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;

/// Pods of this priority are critical to the system.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;

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
    resources.oom_score_adj = oom_score_adj(spec, container, &host.node);
    resources.hugepage_limits = hugepage_limits(&limits, &host.node);
    if host.features.cgroup_v2 {
        // All processes of a container end together when it runs out of memory.
        resources.unified = HashMap::from([("memory.oom.group".to_owned(), "1".to_owned())]);
    }
    if !host.features.cgroup_v2 {
        // The limit of memory and swap together is that of memory; without one there is none.
        resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
    } else if host.features.swap {
        let swap = swap_limit(spec, container, host).to_string();
        resources.unified.insert("memory.swap.max".to_owned(), swap);
    }
    resources
}

/// How many bytes of a container may be swapped out, on cgroup v2 (KEP-2400): none, unless the node
/// allows it to burstable pods; then the share of the node's swap that its request is of the
/// node's memory.
fn swap_limit(spec: &PodSpec, container: &Container, host: &Host) -> u64 {
    let of = |side: Side| {
        let amounts = amounts(container.resources.as_ref(), side);
        amounts.get("memory").cloned().unwrap_or_default()
    };
    let (request, limit) = (of(Side::Requests), of(Side::Limits));
    let may_swap = host.settings.swap_behavior == SwapBehavior::LimitedSwap
        && qos_class(spec) == QosClass::Burstable
        && spec.priority.is_none_or(|priority| priority < CRITICAL_PRIORITY)
        // Neither nothing at all nor exactly its limit.
        && request != limit;
    let request = u64::try_from(request.value()).unwrap_or(0);
    let node = &host.node;
    if !may_swap || request > node.memory_bytes {
        return 0;
    }
    let share = u128::from(request) * u128::from(node.swap_bytes);
    u64::try_from(share / u128::from(node.memory_bytes.max(1))).unwrap_or(0)
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
    let limit = |size: &u64| HugepageLimit {
        page_size: page_size(*size),
        limit: u64::try_from(hugepages_asked(limits, *size)).unwrap_or(0),
    };
    node.hugepages.keys().map(limit).collect()
}

/// The bytes of huge pages of one size among amounts, 0 where there are none.
pub(super) fn hugepages_asked(amounts: &Amounts, size: u64) -> i64 {
    let is_of_size = |name: &String| {
        let text = name.strip_prefix("hugepages-");
        text.is_some_and(|text| u64::try_from(Amount::written(text).value()) == Ok(size))
    };
    let mut all = amounts.iter();
    let asked = all.find(|(name, _)| is_of_size(name));
    asked.map_or(0, |(_, amount)| amount.value())
}

/// A size as runc and the kernel name it: `2MB`, `1GB`.
pub(super) fn page_size(bytes: u64) -> String {
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
    use std::path::PathBuf;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::cri::CgroupDriver;
    use crate::model::DesiredPod;
    use crate::runtime::translate::cgroup::pod_bounds_of;
    use crate::runtime::translate::{PodSettings, RuntimeFeatures};

    #[test]
    fn page_sizes_are_named_as_runc_does() {
        assert_eq!(page_size(2 << 20), "2MB");
        assert_eq!(page_size(1 << 30), "1GB");
        assert_eq!(page_size(64 << 10), "64KB");
    }

    fn host(features: RuntimeFeatures, swap_behavior: SwapBehavior) -> Host {
        let node = NodeFacts {
            memory_bytes: 8 << 30,
            swap_bytes: 4 << 30,
            hugepages: [(2 << 20, 16)].into(),
            ..NodeFacts::default()
        };
        Host {
            node: Arc::new(node),
            pods_root: PathBuf::new(),
            pod_logs: PathBuf::new(),
            cgroup_root: "/setlet".to_owned(),
            cgroup_driver: CgroupDriver::Cgroupfs,
            resolv_conf: PathBuf::new(),
            features,
            settings: PodSettings {
                swap_behavior,
                ..PodSettings::default()
            },
        }
    }

    const UNIFIED: RuntimeFeatures = RuntimeFeatures {
        recursive_read_only: false,
        user_namespaces: false,
        image_volumes: false,
        supplemental_groups_policy: false,
        apparmor: false,
        selinux: false,
        cgroup_v2: true,
        swap: true,
    };

    /// What a container of these resources may swap, and the limit of memory and swap together.
    fn swap(resources: &serde_json::Value, host: &Host) -> (Option<String>, i64) {
        let spec = json!({"containers": [{"name": "c", "resources": resources}]});
        let pod = DesiredPod::of_test(spec, &[]);
        let container = &pod.spec().containers[0];
        let found = container_resources(pod.spec(), container, host);
        let unified = found.unified.get("memory.swap.max").cloned();
        (unified, found.memory_swap_limit_in_bytes)
    }

    #[test]
    fn nothing_is_swapped_unless_the_node_allows_it() {
        let none = json!({});
        let burstable = json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "3Gi"}});
        let of_node = host(UNIFIED, SwapBehavior::NoSwap);
        let zero = (Some("0".to_owned()), 0);
        assert_eq!(swap(&none, &of_node), zero);
        assert_eq!(swap(&burstable, &of_node), zero);
        // A kernel that cannot bound swap has no such file, and a container that names it no start.
        let without = RuntimeFeatures {
            swap: false,
            ..UNIFIED
        };
        let of_node = host(without, SwapBehavior::NoSwap);
        assert_eq!(swap(&none, &of_node), (None, 0));
        let legacy = host(RuntimeFeatures::default(), SwapBehavior::LimitedSwap);
        assert_eq!(swap(&burstable, &legacy), (None, 3 << 30));
        assert_eq!(swap(&none, &legacy), (None, 0));
    }

    #[test]
    fn limited_swap_is_in_proportion_and_for_burstable_pods() {
        let of_node = host(UNIFIED, SwapBehavior::LimitedSwap);
        let said = |resources: serde_json::Value| swap(&resources, &of_node).0;
        let gib = |count: u64| Some((count << 30).to_string());
        let zero = Some("0".to_owned());
        // A quarter of the node's memory.
        assert_eq!(said(json!({"requests": {"memory": "2Gi"}})), gib(1));
        assert_eq!(said(json!({})), zero);
        let same = json!({"requests": {"memory": "2Gi", "cpu": "1"}, "limits": {"memory": "2Gi"}});
        assert_eq!(said(same), zero);
        assert_eq!(said(json!({"requests": {"memory": "9Gi"}})), zero);
    }

    #[test]
    fn a_pod_is_bounded_in_huge_pages_though_it_asks_for_none() {
        let of_node = host(UNIFIED, SwapBehavior::NoSwap);
        let bounds = |resources: serde_json::Value| {
            let spec = json!({"containers": [
                {"name": "c", "resources": resources}, {"name": "d", "resources": resources},
            ]});
            pod_bounds_of(&DesiredPod::of_test(spec, &[]), &of_node).hugepages
        };
        assert_eq!(bounds(json!({})), [("2MB".to_owned(), 0)].into());
        let some = json!({"limits": {"hugepages-2Mi": "4Mi"}});
        assert_eq!(bounds(some), [("2MB".to_owned(), 8 << 20)].into());
    }
}
