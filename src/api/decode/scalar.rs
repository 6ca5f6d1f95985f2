//! What a YAML scalar means to Kubernetes: the rules of YAML 1.1 as its decoder keeps them.
//!
//! Quoted and block scalars are text. Plain ones are tried as null, boolean, integer and float, in
//! that order; `yes` and `0644` are not text, `1:30` and dates are.

use super::tree::Shape;

/// The meaning of a plain scalar without a tag.
pub(super) fn resolve_plain(text: &str) -> Shape {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Shape::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Shape::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Shape::Bool(false);
        }
        _ => {}
    }
    match number(text) {
        Some(number) => Shape::Number(number),
        None => Shape::Text(text.to_owned()),
    }
}

/// Whether a plain scalar is null, a boolean or a number, one too large for 64 bits included.
pub(crate) fn is_more_than_text(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let number = text.starts_with(|c: char| "+-.".contains(c) || c.is_ascii_digit());
    !matches!(resolve_plain(text), Shape::Text(_)) || number && is_float(&plain)
}

/// The number a plain scalar is, as JSON spells it; infinities and NaN keep their YAML spelling.
pub(super) fn number(text: &str) -> Option<String> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(".inf".to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => return Some("-.inf".to_owned()),
        ".nan" | ".NaN" | ".NAN" => return Some(".nan".to_owned()),
        _ => {}
    }
    match text.as_bytes().first()? {
        b'.' => is_float(text).then(|| float(text)).flatten(),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain: String = text.chars().filter(|c| *c != '_').collect();
            integer(&plain).or_else(|| is_float(&plain).then(|| float(&plain)).flatten())
        }
        _ => None,
    }
}

/// Whether a plain scalar that is a number is written as an integer.
pub(super) fn is_integer(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    integer(&plain).is_some()
}

/// An integer of at most 64 bits with an optional sign and base prefix.
fn integer(text: &str) -> Option<String> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (negative, text.starts_with('+')) {
        (true, _) if size > i64::MIN.unsigned_abs() => None,
        (true, _) if size == 0 => Some("0".to_owned()),
        (true, _) => Some(format!("-{size}")),
        (false, true) if size > i64::MAX.unsigned_abs() => None,
        (false, _) => Some(size.to_string()),
    }
}

/// Whether the text is a float as YAML writes them: digits, one point, an exponent.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = digits(whole)
        && digits(fraction.unwrap_or(""))
        && (!whole.is_empty() || fraction.is_some_and(|part| !part.is_empty()));
    let exponent_ok = exponent.is_none_or(|part| {
        let part = part.strip_prefix(['+', '-']).unwrap_or(part);
        !part.is_empty() && digits(part)
    });
    mantissa_ok && exponent_ok
}

/// A float as Go's JSON encoder spells it; one too large for 64 bits is no number.
pub(super) fn float(text: &str) -> Option<String> {
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let spelled = format!("{value:e}");
        return Some(if spelled.contains("e-") {
            spelled
        } else {
            spelled.replace('e', "e+")
        });
    }
    Some(format!("{value}"))
}

/// A float key as Kubernetes makes text of it: the shortest form that is right for 32 bits.
pub(super) fn float_key(number: &str) -> String {
    if number.ends_with("inf") || number.ends_with("nan") {
        return number.to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reference rounds keys to 32 bits"
    )]
    let value = number.parse::<f64>().unwrap_or_default() as f32;
    let spelled = format!("{value:e}");
    let (mantissa, exponent) = spelled.split_once('e').unwrap_or((&spelled, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value == 0.0 || (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match resolve_plain(text) {
            Shape::Null => "null".into(),
            Shape::Bool(flag) => flag.to_string(),
            Shape::Number(number) => number,
            Shape::Text(text) => format!("'{text}'"),
            _ => unreachable!("a scalar"),
        }
    }

    #[test]
    fn float_keys_are_short() {
        for (number, want) in [
            ("1.5", "1.5"),
            ("1000000", "1e+06"),
            ("0.00001", "1e-05"),
            ("0", "0"),
        ] {
            assert_eq!(float_key(number), want);
        }
    }

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        for (text, want) in [
            ("yes", "true"),
            ("Off", "false"),
            ("~", "null"),
            ("tRue", "'tRue'"),
            ("0644", "420"),
            ("0o644", "420"),
            ("0x1F", "31"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("0888", "888"),
            ("08", "8"),
            ("1e3", "1000"),
            ("1.0", "1"),
            ("1e21", "1e+21"),
            ("1e", "'1e'"),
            ("1:30", "'1:30'"),
            ("2020-01-01", "'2020-01-01'"),
            ("1.2.3", "'1.2.3'"),
            ("-", "'-'"),
            (".", "'.'"),
            ("18446744073709551615", "18446744073709551615"),
            ("123456789012345678901", "123456789012345680000"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }
}
