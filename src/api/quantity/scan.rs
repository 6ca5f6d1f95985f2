//! A quantity's text taken apart: sign, digits, suffix, and whether its spelling is kept.

use super::{Format, NANO, QuantityError};

/// The decimal suffixes with their powers of ten.
pub(super) const SI: [(&str, i64); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
/// The binary suffixes; each is 1024 times the one before.
pub(super) const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Whether a suffix counts in powers of two, its exponent, and its notation.
pub(super) fn interpret(suffix: &str) -> Option<(bool, i64, Format)> {
    if let Some((_, exponent)) = SI.iter().find(|(name, _)| *name == suffix) {
        return Some((false, *exponent, Format::DecimalSi));
    }
    if let Some(index) = BINARY.iter().position(|name| *name == suffix) {
        let exponent = i64::try_from(index + 1).unwrap_or_default() * 10;
        return Some((true, exponent, Format::BinarySi));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((false, i64::from(exponent), Format::DecimalExponent))
}

/// A quantity's text in its parts.
pub(super) struct Scanned<'a> {
    pub(super) negative: bool,
    /// Digits before the point, without leading zeros; `0` where none are left.
    pub(super) whole: &'a str,
    pub(super) fraction: &'a str,
    pub(super) suffix: &'a str,
}

impl<'a> Scanned<'a> {
    pub(super) fn scan(text: &'a str) -> Result<Self, QuantityError> {
        let negative = text.starts_with('-');
        let rest = text
            .strip_prefix(['-', '+'])
            .unwrap_or(text)
            .trim_start_matches('0');
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = rest.split_at(digits(rest));
        let whole = if whole.is_empty() { "0" } else { whole };
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let tail = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
        if !tail.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        Ok(Self {
            negative,
            whole,
            fraction,
            suffix,
        })
    }

    /// Whether Kubernetes gives the spelling back as it is: it fits the reference's fast path and
    /// could not be written with a larger suffix.
    pub(super) fn keeps_spelling(&self, exponent: i64, format: Format) -> bool {
        let (whole, fraction) = (self.whole.len(), self.fraction.len());
        if format == Format::BinarySi {
            let room = 15_usize.saturating_sub(whole + 1);
            let needed = usize::try_from(exponent * 3 / 10).unwrap_or(usize::MAX);
            let odd = self.whole.parse::<u64>().is_ok_and(|value| value & 7 != 0);
            return fraction == 0 && whole < 15 && room >= needed && odd;
        }
        let places = i64::try_from(fraction).unwrap_or(i64::MAX);
        let scale = exponent.saturating_sub(places);
        let shifted_ends_in_thousand = {
            let mut last = self.whole.bytes().chain(self.fraction.bytes()).rev();
            whole + fraction >= 3 && (0..3).all(|_| last.next() == Some(b'0'))
        };
        whole + fraction <= 18
            && scale >= NANO
            && scale % 3 == 0
            && !shifted_ends_in_thousand
            && !self.whole.starts_with('0')
    }
}
