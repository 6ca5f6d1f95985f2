//! Spellings, rounding and order, as the reference has them.

use super::*;

#[test]
fn spellings_come_out_as_kubernetes_writes_them() {
    for (text, want) in [
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("1000M", "1G"),
        ("8Ei", "9223372036854775807"),
        ("-0", "0"),
        ("+5", "+5"),
        ("5.", "5."),
        ("01", "01"),
        (".5", "500m"),
        ("1.1Ki", "1126400m"),
        ("1e30", "1e30"),
        ("99999999999999999999", "99999999999999999999"),
        ("100u", "1m"),
        ("1.0005", "1001m"),
        ("1.5m", "2m"),
        ("m", "0"),
        (".", "0"),
        ("-1Mi", "-1Mi"),
        ("123456789012345680000", "123456789012345680k"),
    ] {
        let quantity = Quantity::parse(text).map(Quantity::rounded_to_milli);
        assert_eq!(
            quantity.map(|q| q.to_string()).as_deref(),
            Ok(want),
            "{text}"
        );
    }
}

#[test]
fn values_round_away_from_zero() {
    let value = |text: &str| Quantity::parse(text).map(|q| (q.value(), q.milli_value()));
    assert_eq!(value("1.5"), Ok((2, 1500)));
    assert_eq!(value("-1.5"), Ok((-2, -1500)));
    assert_eq!(value("1Ki"), Ok((1024, 1_024_000)));
    assert_eq!(value("1e30"), Ok((i64::MAX, i64::MAX)));
    assert_eq!(value("1n"), Ok((1, 1)));
}

/// `resource.Quantity` holds them in arbitrary precision, and its `Value` is the nearest that fits.
#[test]
fn amounts_beyond_64_bits_are_the_last_that_fit() {
    let nines = "9".repeat(20);
    for text in [
        format!("{nines}e19"),
        format!("{nines}e16"),
        format!("{nines}E"),
        format!("1{}", "0".repeat(19)),
        "9223372036854775808".to_owned(),
        "1e2147483647".to_owned(),
    ] {
        let values = |text: &str| Quantity::parse(text).map(|q| (q.value(), q.milli_value()));
        assert_eq!(values(&text), Ok((i64::MAX, i64::MAX)), "{text}");
        let negative = values(&format!("-{text}"));
        assert_eq!(negative, Ok((i64::MIN, i64::MIN)), "-{text}");
        let double = Quantity::parse(&text).map(|q| q.plus(&q).value());
        assert_eq!(double, Ok(i64::MAX), "{text}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "", "1K", "1 Gi", "1gi", "0x10", "1_000", "1e2.5", "NaN", "\u{ff11}",
    ] {
        assert!(Quantity::parse(text).is_err(), "{text}");
    }
}

#[test]
fn amounts_compare_by_value() {
    let parse = |text| Quantity::parse(text).unwrap();
    assert_eq!(parse("1Gi"), parse("1024Mi"));
    assert!(parse("100m") < parse("0.2"));
    assert!(parse("-2") < parse("-1"));
}
