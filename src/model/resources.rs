//! What a pod asks of the node: requests, limits and the quality-of-service class.
//!
//! Follows component-helpers' `resource.PodRequests` and `PodLimits` (init containers and sidecars,
//! pod-level resources, overhead) and `qos.ComputePodQOS` of Kubernetes v1.36.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::Amount;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Amount>;

/// A pod's quality-of-service class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    /// Every container has cpu and memory limits that equal its requests.
    Guaranteed,
    /// Some container has a request or limit.
    Burstable,
    /// Nothing is asked for.
    BestEffort,
}

impl QosClass {
    /// Kubernetes' word for the class.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Which half of `resources` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `resources.requests`.
    Requests,
    /// `resources.limits`.
    Limits,
}

/// One half of a `resources` as amounts.
#[must_use]
pub fn amounts(resources: Option<&ResourceRequirements>, side: Side) -> Amounts {
    let written = resources.and_then(|r| match side {
        Side::Requests => r.requests.as_ref(),
        Side::Limits => r.limits.as_ref(),
    });
    of_quantities(written)
}

/// A map of quantities as amounts.
#[must_use]
pub fn of_quantities(written: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    written
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name.clone(), Amount::of(quantity)))
        .collect()
}

/// Whether an init container is a sidecar: it goes on running beside the main containers.
#[must_use]
pub fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// What the pod as a whole requests, without overhead.
#[must_use]
pub fn pod_requests(spec: &PodSpec) -> Amounts {
    pod_total(spec, Side::Requests)
}

/// What the pod as a whole is limited to, without overhead; the sum over the containers that have
/// a limit, so it is a bound only where every container has one.
#[must_use]
pub fn pod_limits(spec: &PodSpec) -> Amounts {
    pod_total(spec, Side::Limits)
}

/// The sum over containers, without pod-level resources: sidecars count beside main containers and
/// beside every init container started after them; other init containers count one at a time.
#[must_use]
pub fn container_total(spec: &PodSpec, side: Side) -> Amounts {
    let mut total = Amounts::new();
    for container in &spec.containers {
        add(&mut total, &amounts(container.resources.as_ref(), side));
    }
    let mut sidecars = Amounts::new();
    let mut during_init = Amounts::new();
    for init in spec.init_containers.iter().flatten() {
        let own = amounts(init.resources.as_ref(), side);
        let mut at_its_time = sidecars.clone();
        add(&mut at_its_time, &own);
        if is_sidecar(init) {
            add(&mut total, &own);
            add(&mut sidecars, &own);
        }
        raise(&mut during_init, &at_its_time);
    }
    raise(&mut total, &during_init);
    total
}

/// The class of a pod.
#[must_use]
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let of_pod = compute(spec.resources.as_ref(), Side::Requests).len()
        + compute(spec.resources.as_ref(), Side::Limits).len();
    let all: Vec<Option<&ResourceRequirements>> = if of_pod > 0 {
        vec![spec.resources.as_ref()]
    } else {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
            .map(|c| c.resources.as_ref())
            .collect()
    };
    let mut requests = Amounts::new();
    let mut limits = Amounts::new();
    let mut all_limited = true;
    for resources in all {
        add(&mut requests, &compute(resources, Side::Requests));
        let own = compute(resources, Side::Limits);
        all_limited &= own.len() == 2;
        add(&mut limits, &own);
    }
    if requests.is_empty() && limits.is_empty() {
        QosClass::BestEffort
    } else if all_limited && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

/// The cpu and memory of one `resources` that are not zero.
fn compute(resources: Option<&ResourceRequirements>, side: Side) -> Amounts {
    let mut amounts = amounts(resources, side);
    amounts.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && !amount.is_zero());
    amounts
}

fn pod_total(spec: &PodSpec, side: Side) -> Amounts {
    let mut total = container_total(spec, side);
    for (name, amount) in amounts(spec.resources.as_ref(), side) {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            total.insert(name, amount);
        }
    }
    total
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.entry(name.clone()).or_default();
        *sum = sum.plus(amount);
    }
}

fn raise(total: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let have = total.entry(name.clone()).or_default();
        if amount > have {
            have.clone_from(amount);
        }
    }
}

/// The cpu and memory the pod as a whole can never exceed: given only where the pod says so itself
/// or every container has a limit, as kubelet bounds the pod's cgroup.
#[must_use]
pub fn pod_bounds(spec: &PodSpec) -> (Option<Amount>, Option<Amount>) {
    let total = pod_limits(spec);
    let of_pod = amounts(spec.resources.as_ref(), Side::Limits);
    let bound = |name: &str| {
        let set = |amounts: &Amounts| amounts.get(name).is_some_and(|a| !a.is_zero());
        let mut all = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let bounded =
            set(&of_pod) || all.all(|c| set(&amounts(c.resources.as_ref(), Side::Limits)));
        total.get(name).cloned().filter(|_| bounded)
    };
    (bound("cpu"), bound("memory"))
}
