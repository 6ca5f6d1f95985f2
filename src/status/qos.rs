//! The quality-of-service class of a pod, as `pkg/apis/core/v1/helper/qos` computes it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

type Amounts = BTreeMap<String, i128>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
#[must_use]
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    if let Some(resources) = &spec.resources {
        add(&mut requests, resources.requests.as_ref());
        guaranteed = add(&mut limits, resources.limits.as_ref()) == 2;
    } else {
        let all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        for container in all {
            let resources = container.resources.as_ref();
            add(&mut requests, resources.and_then(|r| r.requests.as_ref()));
            let found = add(&mut limits, resources.and_then(|r| r.limits.as_ref()));
            guaranteed &= found == 2;
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds the amounts of processor and memory above zero; says how many of the two there were.
fn add(sums: &mut Amounts, amounts: Option<&BTreeMap<String, Quantity>>) -> usize {
    let mut found = 0;
    for name in ["cpu", "memory"] {
        let amount = amounts.and_then(|a| a.get(name)).and_then(|q| nano(&q.0));
        if let Some(amount) = amount.filter(|a| *a > 0) {
            *sums.entry(name.to_owned()).or_default() += amount;
            found += 1;
        }
    }
    found
}

/// A quantity in billionths; `None` for text that is no quantity.
fn nano(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (base, power): (i128, i32) = match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        exponent => (10, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let scaled = match base {
        10 => {
            let power = power + 9 - i32::try_from(fraction.len()).ok()?;
            let factor = 10_i128.checked_pow(power.unsigned_abs())?;
            if power < 0 {
                digits / factor
            } else {
                digits.checked_mul(factor)?
            }
        }
        _ => {
            let factor = base
                .checked_pow(power.unsigned_abs())?
                .checked_mul(1_000_000_000)?;
            digits.checked_mul(factor)?
                / 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?
        }
    };
    Some(scaled)
}
