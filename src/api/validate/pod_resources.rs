//! What the containers of a pod ask for together: the sums behind pod-level resources.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::quantity::Quantity;

/// Whether a pod as a whole may ask for this resource.
pub(crate) fn is_pod_level(name: &str) -> bool {
    name == "cpu" || name == "memory" || name.starts_with("hugepages-")
}

/// Amounts by resource.
type Amounts = BTreeMap<String, Quantity>;

/// The requests of all containers together.
///
/// Containers that run side by side add up; an init container runs alone but for the sidecars
/// started before it, so of those the largest counts.
pub(crate) fn aggregate_requests(spec: &Value) -> Amounts {
    aggregate(spec, "requests")
}

/// The same sum over limits.
pub(crate) fn aggregate_limits(spec: &Value) -> Amounts {
    aggregate(spec, "limits")
}

fn aggregate(spec: &Value, kind: &str) -> Amounts {
    let list = |name: &str| {
        spec.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut total = Amounts::new();
    for container in list("containers") {
        add(&mut total, &own(container, kind));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in list("initContainers") {
        let amounts = own(container, kind);
        let mut now = sidecars.clone();
        add(&mut now, &amounts);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            add(&mut total, &amounts);
            sidecars = now.clone();
        }
        raise(&mut peak, &now);
    }
    raise(&mut total, &peak);
    total
}

fn own(container: &Value, kind: &str) -> Amounts {
    let map = container
        .get("resources")
        .and_then(|resources| resources.get(kind));
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(name, text)| Some((name.clone(), Quantity::parse(text.as_str()?).ok()?)))
        .collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = match total.get(name) {
            Some(have) => have.plus(amount),
            None => amount.clone(),
        };
        total.insert(name.clone(), sum);
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if total.get(name).is_none_or(|have| have < amount) {
            total.insert(name.clone(), amount.clone());
        }
    }
}
