//! The cgroups of pods: their names for both drivers, and the bounds on a pod as a whole.
//!
//! Follows kubelet v1.36's `cm` names and `ResourceConfigForPod`: a quota or memory limit stands
//! only where the pod or every container of it has one.

use super::Host;
use super::linux::{CPU_PERIOD, cpu_quota, cpu_shares};
use crate::api::Uid;
use crate::cri::CgroupDriver;
use crate::model::resources::{
    QosClass, of_quantities, pod_bounds, pod_limits, pod_requests, qos_class,
};
use crate::model::{Amount, DesiredPod};

/// The bounds on all processes of a pod together; none is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodBounds {
    /// Share of the processors' time against others.
    pub cpu_shares: i64,
    /// Microseconds of processor time a period of 100 ms.
    pub cpu_quota: Option<i64>,
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// The period in microseconds that [`PodBounds::cpu_quota`] is of.
pub const PERIOD: i64 = CPU_PERIOD;

/// The bounds on a pod.
#[must_use]
pub fn pod_bounds_of(pod: &DesiredPod, host: &Host) -> PodBounds {
    let spec = pod.spec();
    let class = qos_class(spec);
    let overhead = of_quantities(spec.overhead.as_ref());
    let with_overhead = |name: &str, amount: Amount| match overhead.get(name) {
        Some(more) => amount.plus(more),
        None => amount,
    };
    let requests = pod_requests(spec);
    let of = |name: &str| requests.get(name).cloned().unwrap_or_default();
    // Limits alone are their own requests, as API defaulting has it.
    let cpu = match of("cpu") {
        none if none.is_zero() => pod_limits(spec).get("cpu").cloned().unwrap_or_default(),
        asked => asked,
    };
    let (cpu_limit, memory_limit) = match class {
        QosClass::BestEffort => (None, None),
        _ => pod_bounds(spec),
    };
    PodBounds {
        cpu_shares: match class {
            QosClass::BestEffort => cpu_shares(&Amount::default()),
            _ => cpu_shares(&with_overhead("cpu", cpu)),
        },
        cpu_quota: cpu_limit
            .filter(|_| host.settings.cpu_cfs_quota)
            .map(|limit| cpu_quota(&with_overhead("cpu", limit))),
        memory: memory_limit.map(|limit| with_overhead("memory", limit).value()),
        pids: host.settings.pod_pids_limit,
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
    let mut parts = parts_of(&host.cgroup_root);
    match class {
        QosClass::Guaranteed => {}
        QosClass::Burstable => parts.push("burstable".to_owned()),
        QosClass::BestEffort => parts.push("besteffort".to_owned()),
    }
    parts.push(format!("pod{uid}"));
    match host.cgroup_driver {
        CgroupDriver::Cgroupfs => format!("/{}", parts.join("/")),
        CgroupDriver::Systemd => systemd_slice(&parts),
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
