//! Resource requests and limits, of containers and of the pod, and resource claims.

use std::collections::{BTreeMap, BTreeSet};

use super::at::{At, Errors};
use super::names;
use super::pod::Context;
use super::pod_resources;
use crate::api::Cause;
use crate::api::quantity::Quantity;

/// Checks the resources of a container.
pub(crate) fn container(errors: &mut Errors, resources: &At<'_, '_>, context: &Context<'_>) {
    amounts(errors, resources, container_resource);
    claims(errors, &resources.field("claims"), context);
}

/// Checks the overhead of the pod's runtime, whose amounts are named as limits would be.
pub(crate) fn overhead(errors: &mut Errors, overhead: &At<'_, '_>) {
    let reported = overhead.field("limits");
    for (name, amount) in overhead.entries() {
        let at = reported.entry(name);
        container_resource(errors, &at, name);
        quantity(errors, &at, name, &amount.quantity());
    }
}

/// Checks the resources of the pod as a whole.
pub(crate) fn pod_resources(errors: &mut Errors, spec: &At<'_, '_>, context: &Context<'_>) {
    let resources = spec.field("resources");
    if !resources.is_set() {
        return;
    }
    let pod_claims = resources.field("claims");
    if pod_claims.is_set() {
        errors.forbidden(&pod_claims, "claims belong to containers; move them there");
    }
    amounts(errors, &resources, |errors, at, name| {
        if !pod_resources::is_pod_level(name) {
            errors.unsupported(at.path(), name, &["cpu", "memory", "hugepages-SIZE"]);
        }
    });
    claims(errors, &pod_claims, context);
    consistent(errors, spec, &resources);
}

/// The pod's amounts must cover what its containers ask for.
fn consistent(errors: &mut Errors, spec: &At<'_, '_>, resources: &At<'_, '_>) {
    let requests = resources.field("requests");
    let sums: BTreeMap<String, Quantity> = match spec.value() {
        Some(spec) => pod_resources::aggregate_requests(spec),
        None => BTreeMap::new(),
    };
    for (name, sum) in &sums {
        let have = requests
            .value()
            .and_then(|map| map.get(name))
            .and_then(|v| v.as_str());
        let have = have.and_then(|text| Quantity::parse(text).ok());
        if have.is_some_and(|have| *sum > have) {
            let path = format!("{}[{name}]", requests.path());
            let message = format!("must be at least {sum}, what the containers request together");
            errors.add(path, Cause::Invalid, message);
        }
    }
    let limits = resources.field("limits");
    for (index, container) in spec.field("containers").items().enumerate() {
        let own = container.field("resources");
        for (name, amount) in own.field("limits").entries() {
            let limit = limits.entry(name);
            if limit.is_set() && amount.quantity() > limit.quantity() {
                let path = format!("{}.containers[{index}][{name}].limits", resources.path());
                let message = format!(
                    "the container's limit {} must not be more than the pod's, {}",
                    amount.str(),
                    limit.str()
                );
                errors.add(path, Cause::Invalid, message);
            }
        }
    }
}

/// Whether this counts pages of memory of a fixed size.
fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether the name is one of Kubernetes' own, not a device's.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn container_resource(errors: &mut Errors, at: &At<'_, '_>, name: &str) {
    let standard = ["cpu", "memory", "ephemeral-storage"].contains(&name) || is_huge(name);
    if let Some(message) = names::qualified(name) {
        errors.invalid(at, message);
    } else if !name.contains('/') && !standard {
        let message = "is no resource of containers; use cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME";
        errors.invalid(at, message);
    } else if !is_native(name) && name.starts_with("requests.") {
        errors.invalid(at, "a resource name must not begin with 'requests.'");
    } else if !is_native(name) && names::qualified(&format!("requests.{name}")).is_some() {
        errors.invalid(at, "the domain of the resource is too long");
    }
}

/// An amount: not negative, whole where it counts things, and divisible into huge pages.
fn quantity(errors: &mut Errors, at: &At<'_, '_>, name: &str, amount: &Quantity) {
    if amount.is_negative() {
        errors.invalid(at, format!("is {amount}; it must be 0 or more"));
    }
    if !is_native(name) && !amount.is_integer() {
        errors.invalid(at, format!("is {amount}; it must be a whole number"));
    }
    if let Some(size) = name.strip_prefix("hugepages-") {
        let size = Quantity::parse(size)
            .ok()
            .filter(Quantity::is_integer)
            .map(|size| size.value());
        match size.filter(|size| *size > 0) {
            Some(size) if amount.value() % size == 0 => {}
            _ => errors.invalid(
                at,
                format!("{amount} must be a whole number of pages of that size"),
            ),
        }
    }
}

fn amounts(
    errors: &mut Errors,
    resources: &At<'_, '_>,
    check_name: impl Fn(&mut Errors, &At<'_, '_>, &str),
) {
    let (limits, requests) = (resources.field("limits"), resources.field("requests"));
    let mut huge = false;
    let mut compute = false;
    for (name, at) in limits.entries().chain(requests.entries()) {
        check_name(errors, &at, name);
        quantity(errors, &at, name, &at.quantity());
        huge |= is_huge(name);
        compute |= ["cpu", "memory"].contains(&name);
    }
    for (name, at) in requests.entries() {
        let limit = limits.entry(name);
        // Devices and huge pages cannot be promised twice: the request is the limit.
        let shareable = is_native(name) && !is_huge(name);
        let (amount, bound) = (at.quantity(), limit.quantity());
        if !limit.is_set() {
            if !shareable {
                errors.required(
                    &limits,
                    format!("must give {name} too, as much as its request"),
                );
            }
        } else if !shareable && amount != bound {
            errors.invalid(
                &requests,
                format!("{name} {amount} must equal its limit, {bound}"),
            );
        } else if amount > bound {
            let message = format!("{name} {amount} must not be more than its limit, {bound}");
            errors.invalid(&requests, message);
        }
    }
    if huge && !compute {
        errors.forbidden(resources, "huge pages need cpu or memory beside them");
    }
}

fn claims(errors: &mut Errors, claims: &At<'_, '_>, context: &Context<'_>) {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.field("name").str(), claim.field("request").str());
        if name.is_empty() {
            errors.required(&claim, "must name a claim of the pod");
            continue;
        }
        let whole = seen.contains(&(name, ""));
        let part = request.is_empty() && seen.iter().any(|(other, _)| *other == name);
        if whole || part || !seen.insert((name, request)) {
            errors.duplicate(&claim, name);
        }
        if !context.claims.contains(&name) {
            errors.not_found(
                &claim,
                format!("there is no claim {name:?} in spec.resourceClaims"),
            );
        }
    }
}

/// Checks the claims of the pod.
pub(crate) fn pod_claims(errors: &mut Errors, claims: &At<'_, '_>) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.field("name");
        if name.str().is_empty() {
            errors.required(&name, "must be set");
        } else if !seen.insert(name.str()) {
            errors.duplicate(&name, name.str());
        } else {
            errors.check(&name, names::label);
        }
        let sources = [
            claim.field("resourceClaimName"),
            claim.field("resourceClaimTemplateName"),
        ];
        if sources.iter().filter(|source| source.is_set()).count() != 1 {
            let message = "must hold either resourceClaimName or resourceClaimTemplateName";
            errors.invalid(&claim, message);
        }
        for source in sources.iter().filter(|source| source.is_set()) {
            errors.check(source, names::subdomain);
        }
    }
}
