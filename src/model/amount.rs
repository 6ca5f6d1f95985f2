//! How much of a resource, computed with: the exact value of a `resource.Quantity` in billionths.
//!
//! Whether a text is a valid quantity is decided at admission; here a text that is none counts as
//! nothing. Rounding follows apimachinery's `Quantity`: always up, away from zero.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A billionth, the finest a quantity can be.
const NANO: i128 = 1_000_000_000;

/// An exact amount of a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

impl Amount {
    /// The amount a quantity writes; nothing where it is not one.
    #[must_use]
    pub fn of(quantity: &Quantity) -> Self {
        parse(&quantity.0).map_or(Self(0), Self)
    }

    /// An amount of whole units.
    #[must_use]
    pub fn whole(units: u64) -> Self {
        Self(i128::from(units) * NANO)
    }

    /// An amount of thousandths.
    #[must_use]
    pub fn millis(millis: u64) -> Self {
        Self(i128::from(millis) * (NANO / 1000))
    }

    /// Whole units, rounded up.
    #[must_use]
    pub fn value(self) -> i64 {
        round_up(self.0, NANO)
    }

    /// Thousandths, rounded up.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        round_up(self.0, NANO / 1000)
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

fn round_up(nanos: i128, unit: i128) -> i64 {
    let whole = nanos.div_euclid(unit);
    let rest = nanos.rem_euclid(unit);
    // Away from zero: a negative amount with a rest is already rounded down by div_euclid.
    let rounded = if rest != 0 && nanos > 0 {
        whole + 1
    } else {
        whole
    };
    i64::try_from(rounded).unwrap_or(if rounded > 0 { i64::MAX } else { i64::MIN })
}

/// The value in billionths of a decimal number with an optional SI, binary or exponent suffix.
fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut mantissa: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        mantissa = mantissa
            .checked_mul(10)?
            .checked_add(i128::from(digit.to_digit(10)?))?;
    }
    let places = u32::try_from(fraction.len()).ok()?;
    let (multiplier, divisor) = scale(suffix)?;
    let numerator = mantissa
        .checked_mul(multiplier)
        .and_then(|n| n.checked_mul(NANO));
    let denominator = divisor.checked_mul(10_i128.checked_pow(places)?)?;
    let numerator = numerator.unwrap_or(i128::MAX);
    let nanos = numerator / denominator + i128::from(numerator % denominator != 0);
    Some(if negative { -nanos } else { nanos })
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (1000 * NANO, 1),
        "P" => (1_000_000 * NANO, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_round_up() {
        let of = |text: &str| Amount::of(&Quantity(text.to_owned()));
        assert_eq!(of("100u").milli_value(), 1);
        assert_eq!(of("33333333n").milli_value(), 34);
        assert_eq!(of("1.5").milli_value(), 1500);
        assert_eq!(of("0.05G").value(), 50_000_000);
        assert_eq!(of("20000000500m").value(), 20_000_001);
        assert_eq!(of("33Mi").value(), 34_603_008);
        assert_eq!(of("1e3").value(), 1000);
        assert_eq!(of("12E").value(), i64::MAX);
        assert_eq!(of("nonsense").value(), 0);
    }
}
