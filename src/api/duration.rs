//! Durations as Go's `time.ParseDuration` reads them: `1h30m`, `1.5s`, `-500ms`, `0`.

use std::time::Duration;

use jiff::SignedDuration;

/// Go's units, each with its nanoseconds. Both letters for micro are read.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The largest magnitude: of the most negative number of nanoseconds in 64 bits.
const LARGEST: u64 = i64::MIN.unsigned_abs();

/// A duration with its sign, in whole nanoseconds; `None` where the text is none, or where it is
/// longer than Go's can be (some 292 years).
#[must_use]
pub fn signed_duration(text: &str) -> Option<SignedDuration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        total = total.checked_add(part).filter(|sum| *sum <= LARGEST)?;
        rest = after;
    }
    let nanos = if negative {
        0_i64.checked_sub_unsigned(total)?
    } else {
        i64::try_from(total).ok()?
    };
    Some(SignedDuration::from_nanos(nanos))
}

/// A duration that is not negative; otherwise as [`signed_duration`].
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    Duration::try_from(signed_duration(text)?).ok()
}

/// The nanoseconds of a number and its unit, and what follows.
fn part(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit());
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let nanos = whole.checked_mul(*unit).filter(|n| *n <= LARGEST)?;
    let nanos = nanos
        .checked_add(share(fraction, *unit))
        .filter(|n| *n <= LARGEST)?;
    Some((nanos, rest))
}

/// The nanoseconds of a fraction of a unit; what is smaller than one is dropped.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "Go reckons a fraction in floating point; it is less than a unit"
)]
fn share(fraction: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1_f64);
    for digit in fraction.bytes().map(|b| u64::from(b - b'0')) {
        // Digits past 64 bits change nothing.
        let longer = number.checked_mul(10).and_then(|n| n.checked_add(digit));
        let Some(longer) = longer.filter(|n| *n <= LARGEST) else {
            break;
        };
        (number, scale) = (longer, scale * 10.0);
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Go's `time_test.go`, and the ends of what 64 bits hold.
    const RIGHT: &[(&str, i128)] = &[
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("-5s", -5_000_000_000),
        ("5.s", 5_000_000_000),
        (".5s", 500_000_000),
        ("1.004s", 1_004_000_000),
        ("100.00100s", 100_001_000_000),
        ("10ns", 10),
        ("11us", 11_000),
        ("12\u{b5}s", 12_000),
        ("12\u{3bc}s", 12_000),
        ("14ms", 14_000_000),
        ("-1.5h", -5_400_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("-2m3.4s", -123_400_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("52763797000ns", 52_763_797_000),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("9007199254740993ns", 9_007_199_254_740_993),
        ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ("-9223372036854775808ns", -9_223_372_036_854_775_808),
        ("9223372036.854775807s", 9_223_372_036_854_775_807),
        ("-9223372036.854775808s", -9_223_372_036_854_775_808),
        ("-2562047h47m16.854775808s", -9_223_372_036_854_775_808),
        ("2562047h47m16.854775807s", 9_223_372_036_854_775_807),
    ];
    const WRONG: &[&str] = &[
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1d",
        "1 s",
        " 1s",
        "1s ",
        "1m5",
        "--1s",
        "1S",
        "PT1H",
        "1 hour",
        "3000000h",
        "9223372036854775808ns",
        "9223372036854775.808us",
        "-9223372036854775809ns",
        "9223372036854ms775us808ns",
        "5000000000000000h",
    ];

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in RIGHT {
            let read = signed_duration(text).map(|d| d.as_nanos());
            assert_eq!(read, Some(*nanos), "{text}");
            let positive = duration(text).map(|d| d.as_nanos().cast_signed());
            assert_eq!(positive, (*nanos >= 0).then_some(*nanos), "{text}");
        }
        for text in WRONG {
            assert_eq!(signed_duration(text), None, "{text}");
        }
    }
}
