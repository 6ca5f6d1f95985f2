//! `resource.Quantity`, exact: parsing, rounding, comparing and the canonical spelling.
//!
//! Follows Kubernetes' `k8s.io/apimachinery/pkg/api/resource`: which spellings are accepted, that
//! anything below a nano rounds away from zero, that binary quantities are capped at 2^63-1, and
//! which spellings that are nearly canonical come back as they were written. Values are kept as
//! decimal digits and a power of ten, so nothing is ever a float.

mod digits;
mod scan;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use digits::{increment, multiply, spell, trim_leading_zeros};
use scan::{BINARY, SI, Scanned, interpret};

/// A quantity: a decimal number of any size with the notation it was written in.
#[derive(Debug, Clone)]
pub struct Quantity {
    negative: bool,
    /// Decimal digits, most significant first, without leading zeros; none is zero.
    digits: Vec<u8>,
    /// The power of ten the digits are multiplied by.
    exponent: i64,
    format: Format,
    /// The spelling to keep, where it counts as canonical.
    text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    DecimalSi,
    DecimalExponent,
    BinarySi,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// There is no text.
    #[error("it is empty; write a number such as 100m, 2 or 1Gi")]
    Empty,
    /// It is not a number followed by a suffix.
    #[error("it must be a number and a suffix without space, such as 100m, 2 or 1Gi")]
    Format,
    /// The suffix is unknown.
    #[error("its suffix is none of n u m k M G T P E, Ki Mi Gi Ti Pi Ei or an exponent such as e3")]
    Suffix,
}

/// The powers of ten below which nothing is kept.
const NANO: i64 = -9;
/// The power of ten resource amounts are rounded to.
const MILLI: i64 = -3;

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let scanned = Scanned::scan(text)?;
        let (binary, exponent, format) = interpret(scanned.suffix).ok_or(QuantityError::Suffix)?;
        let keep = scanned.keeps_spelling(exponent, format);
        let mut digits: Vec<u8> = scanned
            .whole
            .bytes()
            .chain(scanned.fraction.bytes())
            .map(|b| b - b'0')
            .collect();
        trim_leading_zeros(&mut digits);
        let places = i64::try_from(scanned.fraction.len()).unwrap_or(i64::MAX);
        let mut quantity = Self {
            negative: scanned.negative,
            digits,
            exponent: 0,
            format,
            text: None,
        };
        if binary {
            multiply(&mut quantity.digits, 1 << exponent);
            quantity.exponent = -places;
        } else {
            quantity.exponent = exponent - places;
        }
        quantity.round_to(NANO);
        if format == Format::BinarySi {
            quantity.settle_binary();
        }
        if keep || text == "0" {
            quantity.text = Some(text.to_owned());
        }
        Ok(quantity)
    }

    /// Caps a binary quantity, and calls one below 1 decimal.
    fn settle_binary(&mut self) {
        let max = Self::from_int(i64::MAX);
        if self.magnitude(&max) == Ordering::Greater {
            (self.digits, self.exponent) = (max.digits, 0);
        }
        if !self.is_zero() && self.magnitude(&Self::from_int(1)) == Ordering::Less {
            self.format = Format::DecimalSi;
        }
    }

    /// A whole number.
    #[must_use]
    pub fn from_int(value: i64) -> Self {
        let mut digits: Vec<u8> = value
            .unsigned_abs()
            .to_string()
            .bytes()
            .map(|b| b - b'0')
            .collect();
        trim_leading_zeros(&mut digits);
        Self {
            negative: value < 0,
            digits,
            exponent: 0,
            format: Format::DecimalSi,
            text: None,
        }
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        let mut copy = self.clone();
        copy.normalise();
        copy.exponent >= 0
    }

    /// The same amount rounded away from zero to a thousandth, as API defaulting does.
    #[must_use]
    pub fn rounded_to_milli(mut self) -> Self {
        if self.exponent < MILLI {
            self.text = None;
            self.round_to(MILLI);
        }
        self
    }

    /// The amount, rounded away from zero to a whole number and held within 64 bits.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The amount in thousandths, rounded away from zero and held within 64 bits.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        self.scaled(MILLI)
    }

    fn scaled(&self, scale: i64) -> i64 {
        let mut copy = self.clone();
        copy.round_to(scale);
        let limit = if copy.negative { i64::MIN } else { i64::MAX };
        let zeros = copy.exponent.saturating_sub(scale);
        if copy.is_zero() {
            return 0;
        }
        if zeros > 19 || copy.digits.len() > 20 {
            return limit;
        }
        let zeros = std::iter::repeat_n(&0, usize::try_from(zeros).unwrap_or(0));
        let value = copy
            .digits
            .iter()
            .chain(zeros)
            .try_fold(0_i128, |value, digit| {
                value.checked_mul(10)?.checked_add(i128::from(*digit))
            });
        let value = value.map(|value| if copy.negative { -value } else { value });
        value.map_or(limit, |value| i64::try_from(value).unwrap_or(limit))
    }

    /// The sum, in the notation of the first unless that is zero.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return Self {
                text: None,
                ..self.clone()
            };
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.aligned(exponent), other.aligned(exponent));
        let sum = match (self.is_negative(), other.is_negative()) {
            (false, false) => a.saturating_add(b),
            (true, true) => 0_i128.saturating_sub(a).saturating_sub(b),
            (false, true) => a.saturating_sub(b),
            (true, false) => b.saturating_sub(a),
        };
        let mut digits: Vec<u8> = sum
            .unsigned_abs()
            .to_string()
            .bytes()
            .map(|b| b - b'0')
            .collect();
        trim_leading_zeros(&mut digits);
        Self {
            negative: sum < 0,
            digits,
            exponent,
            format: self.format,
            text: None,
        }
    }

    /// The digits as a number counted in this power of ten, held within 128 bits.
    fn aligned(&self, exponent: i64) -> i128 {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(usize::MAX);
        if self.digits.len().saturating_add(zeros) > 37 {
            return i128::MAX / 4;
        }
        let digits = self
            .digits
            .iter()
            .copied()
            .chain(std::iter::repeat_n(0, zeros));
        digits.fold(0, |number, digit| number * 10 + i128::from(digit))
    }

    /// Rounds away from zero so that no digit is left below this power of ten.
    fn round_to(&mut self, scale: i64) {
        let excess = scale.saturating_sub(self.exponent);
        if excess <= 0 || self.is_zero() {
            return;
        }
        let keep = self
            .digits
            .len()
            .saturating_sub(usize::try_from(excess).unwrap_or(usize::MAX));
        let rest = self.digits.split_off(keep);
        self.exponent = scale;
        if rest.iter().any(|digit| *digit != 0) {
            increment(&mut self.digits);
        }
    }

    /// Moves trailing zeros into the exponent.
    fn normalise(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent += 1;
        }
        if self.digits.is_empty() {
            self.exponent = 0;
        }
    }

    /// Compares without the signs.
    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (mut a, mut b) = (self.clone(), other.clone());
        a.normalise();
        b.normalise();
        let top = |q: &Self| q.exponent + i64::try_from(q.digits.len()).unwrap_or(i64::MAX);
        top(&a).cmp(&top(&b)).then_with(|| a.digits.cmp(&b.digits))
    }

    fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        let mut copy = self.clone();
        copy.normalise();
        let mut format = copy.format;
        if format == Format::BinarySi {
            if copy.exponent >= 0 && copy.magnitude(&Self::from_int(1024)) != Ordering::Less {
                return format!("{sign}{}", copy.binary());
            }
            format = Format::DecimalSi;
        }
        let shift = copy.exponent.rem_euclid(3);
        for _ in 0..shift {
            copy.digits.push(0);
        }
        let exponent = copy.exponent - shift;
        let digits = spell(&copy.digits);
        let si = SI
            .iter()
            .find(|(_, power)| *power == exponent)
            .map(|(suffix, _)| *suffix);
        match (format, si) {
            (_, _) if exponent == 0 => format!("{sign}{digits}"),
            (Format::DecimalSi, Some(suffix)) => format!("{sign}{digits}{suffix}"),
            _ => format!("{sign}{digits}e{exponent}"),
        }
    }

    /// The magnitude with the largest binary suffix that divides it; it is whole and at most 2^63.
    fn binary(&self) -> String {
        let mut value = self.scaled(0).unsigned_abs();
        let mut suffix = 0;
        while value.is_multiple_of(1024) && suffix < BINARY.len() {
            value /= 1024;
            suffix += 1;
        }
        let name = suffix
            .checked_sub(1)
            .and_then(|index| BINARY.get(index))
            .unwrap_or(&"");
        format!("{value}{name}")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative(), other.is_negative()) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}
