//! Durations, sizes, processor time and percentages as people write them in the configuration.
//!
//! Durations are Go's (`1h30m`, `500ms`), sizes and processor time Kubernetes quantities (`10Mi`,
//! `100m`), as in kubelet's own configuration. A number without a unit is refused for a duration,
//! because nobody can tell whether it means seconds or nanoseconds.

use std::fmt;
use std::time;

use crate::api::duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, no longer than Go's can be; written `60s`, `10m`, `1h30m`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Duration(pub time::Duration);

/// A size in bytes; written `10Mi`, `1G` or as a plain number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// Processor time in thousandths of a core; written `100m`, `2`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CpuMillis(pub u64);

/// An eviction threshold: an amount, or a share of what there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// Bytes, or a number of inodes or processes.
    Amount(Bytes),
    /// Hundredths of the capacity, 0 to 100.
    Percent(f64),
}

/// Kubernetes' suffixes of whole amounts.
const SIZE_SUFFIXES: &[(&str, u64)] = &[
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

impl Duration {
    /// Reads a duration that is not negative; `None` where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        duration(text).map(Self)
    }
}

/// Reads a decimal number with one of `suffixes`, rounded up to whole units.
fn parse_amount(text: &str, suffixes: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1,
        _ => suffixes.iter().find(|(name, _)| *name == suffix)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || number.ends_with('.') {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    u64::try_from(digits.checked_mul(u128::from(factor))?.div_ceil(scale)).ok()
}

impl Bytes {
    /// Reads a size; `None` where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_amount(text, SIZE_SUFFIXES).map(Self)
    }
}

impl CpuMillis {
    /// Reads processor time; `None` where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('m') {
            Some(millis) => millis.parse().ok().map(Self),
            // Thousandths of a core: scale the number before it is rounded up.
            None => parse_amount(&format!("{text}k"), SIZE_SUFFIXES).map(Self),
        }
    }
}

impl Threshold {
    /// Reads a threshold; `None` where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(share) => share
                .parse()
                .ok()
                .filter(|share| (0.0..=100.0).contains(share))
                .map(Self::Percent),
            None => Bytes::parse(text).map(Self::Amount),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        for (amount, unit) in [(hours, "h"), (minutes, "m"), (rest, "s")] {
            if amount > 0 {
                write!(f, "{amount}{unit}")?;
            }
        }
        match nanos {
            0 => Ok(()),
            n if n.is_multiple_of(1_000_000) => write!(f, "{}ms", n / 1_000_000),
            n => write!(f, "{n}ns"),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = SIZE_SUFFIXES[..6]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match best {
            Some((suffix, factor)) => write!(f, "{}{suffix}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for CpuMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(bytes) => bytes.fmt(f),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// Reads one of these where the deserializer is: it knows line and field of what is refused.
struct Scalar<T> {
    parse: fn(&str) -> Option<T>,
    wanted: &'static str,
}

impl<T> Scalar<T> {
    fn read<E: de::Error>(&self, text: &str, have: de::Unexpected<'_>) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(have, &self.wanted))
    }
}

impl<T> de::Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.read(text, de::Unexpected::Str(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.read(&number.to_string(), de::Unexpected::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.read(&number.to_string(), de::Unexpected::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.read(&number.to_string(), de::Unexpected::Float(number))
    }
}

macro_rules! scalar_serde {
    ($name:ident, $wanted:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar {
                    parse: Self::parse,
                    wanted: $wanted,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

scalar_serde!(
    Duration,
    "a duration such as 60s, 10m or 1h30m, of at most 2562047h47m16s"
);
scalar_serde!(Bytes, "a size such as 10Mi or 1G");
scalar_serde!(CpuMillis, "processor time such as 100m or 2");
scalar_serde!(Threshold, "an amount such as 100Mi or a share such as 10%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        let millis = |text| Duration::parse(text).map(|d| d.0.as_millis());
        assert_eq!(millis("60s"), Some(60_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1.5s"), Some(1_500));
        assert_eq!(millis("+3\u{3bc}s"), Some(0));
        assert_eq!(millis("2562047h47m16.854775807s"), Some(9_223_372_036_854));
        assert_eq!(millis("2562047h47m16.854775808s"), None);
        assert_eq!(millis("0"), Some(0));
        assert_eq!(millis("2562047h47m16s"), Some(9_223_372_036_000));
        for bad in [
            "",
            "60",
            "-1s",
            "s",
            "1d",
            "1 s",
            "1m5",
            "2562048h",
            "5000000000000000h",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
        for text in ["1h30m", "1m", "500ms", "0s", "1s500ms"] {
            assert_eq!(Duration::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_quantities() {
        assert_eq!(Bytes::parse("10Mi"), Some(Bytes(10 << 20)));
        assert_eq!(Bytes::parse("1.5Gi"), Some(Bytes(3 << 29)));
        assert_eq!(Bytes::parse("1G"), Some(Bytes(1_000_000_000)));
        assert_eq!(Bytes::parse("17"), Some(Bytes(17)));
        for bad in ["", "-1", "1Q", "Mi", "1.", "99999999999Ei", "1 Mi", "10mi"] {
            assert_eq!(Bytes::parse(bad), None, "{bad}");
        }
        assert_eq!(Bytes(10 << 20).to_string(), "10Mi");
        assert_eq!(Bytes(1_000_000).to_string(), "1000000");
    }

    #[test]
    fn processor_time_and_thresholds() {
        assert_eq!(CpuMillis::parse("100m"), Some(CpuMillis(100)));
        assert_eq!(CpuMillis::parse("0.5"), Some(CpuMillis(500)));
        assert_eq!(CpuMillis::parse("2"), Some(CpuMillis(2000)));
        assert_eq!(CpuMillis::parse("x"), None);
        assert_eq!(CpuMillis::parse("2Mi"), None);
        assert_eq!(Threshold::parse("10%"), Some(Threshold::Percent(10.0)));
        assert_eq!(Threshold::parse("101%"), None);
        assert_eq!(
            Threshold::parse("100Mi"),
            Some(Threshold::Amount(Bytes(100 << 20)))
        );
    }
}
