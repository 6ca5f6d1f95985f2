//! How much of a resource, computed with: an exact quantity that can be added up and compared.
//!
//! Whether a text is a valid quantity is decided at admission; here a text that is none counts as
//! nothing.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::api::quantity::Quantity;

/// An exact amount of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(Quantity);

impl Amount {
    /// The amount a quantity writes; nothing where it is not one.
    #[must_use]
    pub fn of(text: &Text) -> Self {
        Self::written(&text.0)
    }

    /// The amount a text writes; nothing where it writes none.
    #[must_use]
    pub fn written(text: &str) -> Self {
        Quantity::parse(text).map_or_else(|_| Self::default(), Self)
    }

    /// An amount of whole units.
    #[must_use]
    pub fn whole(units: u64) -> Self {
        Self(Quantity::from_int(i64::try_from(units).unwrap_or(i64::MAX)))
    }

    /// An amount of thousandths.
    #[must_use]
    pub fn millis(millis: u64) -> Self {
        Self::written(&format!("{millis}m"))
    }

    /// Whole units, rounded up.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.value()
    }

    /// Thousandths, rounded up.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        self.0.milli_value()
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// This and another amount together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(self.0.plus(&other.0))
    }
}

impl Default for Amount {
    /// Nothing.
    fn default() -> Self {
        Self(Quantity::from_int(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_round_up() {
        let of = Amount::written;
        assert_eq!(of("100u").milli_value(), 1);
        assert_eq!(of("33333333n").milli_value(), 34);
        assert_eq!(of("0.05G").value(), 50_000_000);
        assert_eq!(of("20000000500m").value(), 20_000_001);
        assert_eq!(of("33Mi").plus(&of("1")).value(), 34_603_009);
        assert_eq!(of("nonsense").value(), 0);
        assert!(Amount::millis(1500) > of("1"));
    }
}
