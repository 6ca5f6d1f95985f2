//! The cgroups of pods: their names for both drivers, and the bounds on a pod as a whole.
//!
//! Follows kubelet v1.36's `cm` names and `ResourceConfigForPod`: a quota or memory limit stands
//! only where the pod or every container of it has one. Above the pods are the classes' cgroups, as
//! its `QOSContainerManager` bounds them, and that of all pods, bounded by what the node can give
//! them (`enforceNodeAllocatable`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;

use super::Host;
use super::linux::{CPU_PERIOD, cpu_quota, cpu_shares, hugepages_asked, page_size};
use crate::api::Uid;
use crate::cri::CgroupDriver;
use crate::model::resources::{
    Amounts, QosClass, of_quantities, pod_bounds, pod_limits, pod_requests, qos_class,
};
use crate::model::{Amount, DesiredPod};

/// The bounds on all processes of a cgroup together, of a pod or of more; none is no bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Share of the processors' time against others.
    pub cpu_shares: i64,
    /// Microseconds of processor time a period of 100 ms.
    pub cpu_quota: Option<i64>,
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes of huge pages by their size as the kernel names it (`2MB`); 0 is none at all, and of a
    /// size that is not here there is no bound.
    pub hugepages: BTreeMap<String, i64>,
}

impl Bounds {
    /// A share of the processors' time and nothing else.
    fn of_shares(cpu_shares: i64) -> Self {
        Self {
            cpu_shares,
            cpu_quota: None,
            memory: None,
            pids: None,
            hugepages: BTreeMap::new(),
        }
    }
}

/// A cgroup above those of pods, with its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// The cgroup, as the runtime's cgroup driver names it.
    pub path: String,
    /// Its bounds.
    pub bounds: Bounds,
}

/// The period in microseconds that [`Bounds::cpu_quota`] is of.
pub const PERIOD: i64 = CPU_PERIOD;

/// The bounds on a pod.
#[must_use]
pub fn pod_bounds_of(pod: &DesiredPod, host: &Host) -> Bounds {
    let spec = pod.spec();
    let class = qos_class(spec);
    let overhead = of_quantities(spec.overhead.as_ref());
    let with_overhead = |name: &str, amount: Amount| match overhead.get(name) {
        Some(more) => amount.plus(more),
        None => amount,
    };
    let (cpu_limit, memory_limit) = match class {
        QosClass::BestEffort => (None, None),
        _ => pod_bounds(spec),
    };
    let limits = pod_limits(spec);
    let sizes = host.node.hugepages.keys();
    Bounds {
        cpu_shares: match class {
            QosClass::BestEffort => cpu_shares(&Amount::default()),
            _ => cpu_shares(&cpu_request(spec)),
        },
        cpu_quota: cpu_limit
            .filter(|_| host.settings.cpu_cfs_quota)
            .map(|limit| cpu_quota(&with_overhead("cpu", limit))),
        memory: memory_limit.map(|limit| with_overhead("memory", limit).value()),
        pids: host.settings.pod_pids_limit,
        hugepages: sizes
            .map(|size| (page_size(*size), hugepages_asked(&limits, *size)))
            .collect(),
    }
}

/// The processor time that a pod requests, with its overhead. Limits alone are their own requests, as
/// API defaulting has it.
fn cpu_request(spec: &PodSpec) -> Amount {
    let of = |amounts: Amounts| amounts.get("cpu").cloned().unwrap_or_default();
    let cpu = match of(pod_requests(spec)) {
        none if none.is_zero() => of(pod_limits(spec)),
        asked => asked,
    };
    cpu.plus(&of(of_quantities(spec.overhead.as_ref())))
}

/// The cgroups above those of pods, from the outermost: of all pods, and of the classes. The burstable
/// class has the sum of its pods' requests, the best-effort one what others leave.
#[must_use]
pub fn above<'a>(pods: impl Iterator<Item = &'a PodSpec>, host: &Host) -> [Above; 3] {
    let burstable = pods.filter(|spec| qos_class(spec) == QosClass::Burstable);
    let requests = burstable.map(cpu_request);
    let requested = requests.fold(Amount::default(), |sum, more| sum.plus(&more));
    let of = |class: QosClass, bounds: Bounds| Above {
        path: path_of_class(class, host),
        bounds,
    };
    [
        of(QosClass::Guaranteed, node_bounds(host)),
        of(
            QosClass::Burstable,
            Bounds::of_shares(cpu_shares(&requested)),
        ),
        of(
            QosClass::BestEffort,
            Bounds::of_shares(cpu_shares(&Amount::default())),
        ),
    ]
}

/// What all pods may use: what the node has, less what is reserved where that is enforced.
fn node_bounds(host: &Host) -> Bounds {
    let node = &host.node;
    let (millis, memory, pids) = match host.settings.enforce_node_allocatable {
        true => (
            node.allocatable_cpu_millis,
            node.allocatable_memory_bytes,
            node.allocatable_pids,
        ),
        false => (node.cpus.saturating_mul(1000), node.memory_bytes, node.pids),
    };
    let known = |amount: u64| i64::try_from(amount).ok().filter(|amount| *amount > 0);
    Bounds {
        memory: known(memory),
        pids: known(pids).and_then(|pids| u64::try_from(pids).ok()),
        ..Bounds::of_shares(cpu_shares(&Amount::millis(millis)))
    }
}

/// The cgroup a pod's containers are made in, as the runtime's cgroup driver names it.
#[must_use]
pub fn cgroup_parent(pod: &DesiredPod, host: &Host) -> String {
    path_of(&pod.key().uid, qos_class(pod.spec()), host)
}

/// The cgroup that a pod of a class has or had.
#[must_use]
pub fn path_of(uid: &Uid, class: QosClass, host: &Host) -> String {
    let mut parts = parts_of_class(class, host);
    parts.push(format!("pod{uid}"));
    as_named(&parts, host)
}

/// The cgroup that the pods of a class are in; that of the guaranteed ones is that of all pods.
fn path_of_class(class: QosClass, host: &Host) -> String {
    as_named(&parts_of_class(class, host), host)
}

fn parts_of_class(class: QosClass, host: &Host) -> Vec<String> {
    let mut parts = parts_of(&host.cgroup_root);
    match class {
        QosClass::Guaranteed => {}
        QosClass::Burstable => parts.push("burstable".to_owned()),
        QosClass::BestEffort => parts.push("besteffort".to_owned()),
    }
    parts
}

fn as_named(parts: &[String], host: &Host) -> String {
    match host.cgroup_driver {
        CgroupDriver::Cgroupfs => format!("/{}", parts.join("/")),
        CgroupDriver::Systemd => systemd_slice(parts),
    }
}

/// The name of the slice that stands for a cgroup, without its ending; none for the topmost one.
#[must_use]
pub fn slice_of(cgroup: &str) -> Option<String> {
    let path = systemd_slice(&parts_of(cgroup));
    let (_, name) = path.rsplit_once('/')?;
    Some(name.trim_end_matches(".slice").to_owned())
}

fn parts_of(cgroup: &str) -> Vec<String> {
    let parts = cgroup.split('/').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// `/a.slice/a-b.slice`: each slice is named by the whole way to it, with `-` escaped inside.
fn systemd_slice(parts: &[String]) -> String {
    let mut name = String::new();
    let mut path = String::new();
    for part in parts {
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(&part.replace('-', "_"));
        path.push('/');
        path.push_str(&name);
        path.push_str(".slice");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_slices_carry_the_way_to_them() {
        let parts = ["setlet", "burstable", "pod1-2"].map(str::to_owned);
        assert_eq!(
            systemd_slice(&parts),
            "/setlet.slice/setlet-burstable.slice/setlet-burstable-pod1_2.slice"
        );
    }
}
