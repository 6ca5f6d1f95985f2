//! Times as Go's `time.Parse` reads RFC 3339, which is how Kubernetes reads every time.
//!
//! Go knows no leap seconds, no name of a zone and no time without seconds, and reads an hour of one
//! digit and a comma before the fraction. A time beyond those that can be reckoned with here is the
//! last, or the first, that can.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// The moment a text names; `None` where Go reads none.
#[must_use]
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text);
    let year = rest.number(4)?;
    rest.sign('-')?;
    let month = rest.number(2)?;
    rest.sign('-')?;
    let day = rest.number(2)?;
    rest.sign('T')?;
    let hour = rest.number(2).or_else(|| rest.number(1))?;
    rest.sign(':')?;
    let minute = rest.number(2)?;
    rest.sign(':')?;
    let second = rest.number(2)?;
    let nanos = rest.fraction();
    let offset = rest.offset()?;
    let narrow = |number: i16| i8::try_from(number).ok();
    let local = DateTime::new(
        year,
        narrow(month)?,
        narrow(day)?,
        narrow(hour)?,
        narrow(minute)?,
        narrow(second)?,
        nanos,
    );
    let local = local.ok()?;
    // Beyond the year 9999, or before the year 0, which Go writes but does not read.
    let Ok(utc) = local.checked_sub(offset) else {
        return Some(Timestamp::MAX);
    };
    let utc = utc.max(jiff::civil::date(0, 1, 1).at(0, 0, 0, 0));
    Some(Offset::UTC.to_timestamp(utc).unwrap_or(Timestamp::MAX))
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// A number of so many digits; nothing is taken where there are fewer.
    fn number(&mut self, digits: usize) -> Option<i16> {
        let (found, rest) = self.0.split_at_checked(digits)?;
        if !found.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        found.parse().ok()
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.0 = self.0.strip_prefix(sign)?;
        Some(())
    }

    /// The nanoseconds after a point or a comma; further digits are dropped.
    fn fraction(&mut self) -> i32 {
        let Some(after) = self.0.strip_prefix(['.', ',']) else {
            return 0;
        };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return 0;
        }
        let (digits, rest) = after.split_at(digits);
        self.0 = rest;
        let nine = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
        nine.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'))
    }

    /// `Z`, or hours and minutes, up to 24 and 60; nothing may follow.
    fn offset(&mut self) -> Option<SignedDuration> {
        if self.0 == "Z" {
            return Some(SignedDuration::ZERO);
        }
        let ahead = match self.0.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.number(2).filter(|hours| *hours <= 24)?;
        self.sign(':')?;
        let minutes = self.number(2).filter(|minutes| *minutes <= 60)?;
        let minutes = i64::from(hours) * 60 + i64::from(minutes);
        self.0
            .is_empty()
            .then(|| SignedDuration::from_secs(ahead * minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    /// Read with Go's `time.Parse(time.RFC3339, …)`, by its source (`format.go`).
    const RIGHT: &[(&str, &str)] = &[
        ("2006-01-02T15:04:05Z", "2006-01-02T15:04:05Z"),
        (
            "2006-01-02T15:04:05.999999999Z",
            "2006-01-02T15:04:05.999999999Z",
        ),
        ("2006-01-02T15:04:05,5Z", "2006-01-02T15:04:05.5Z"),
        (
            "2006-01-02T15:04:05.1234567899Z",
            "2006-01-02T15:04:05.123456789Z",
        ),
        ("2006-01-02T5:04:05Z", "2006-01-02T05:04:05Z"),
        ("2006-01-02T15:04:05+07:30", "2006-01-02T07:34:05Z"),
        ("2006-01-02T15:04:05-24:60", "2006-01-03T16:04:05Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("9999-12-30T22:00:00Z", "9999-12-30T22:00:00Z"),
    ];
    const WRONG: &[&str] = &[
        "",
        "2006-01-02",
        "2006-01-02T15:04Z",
        "2006-01-02T15:04:05",
        "2016-12-31T23:59:60Z",
        "2006-01-02T24:00:00Z",
        "2006-01-02T15:60:05Z",
        "2006-01-02T15:04:05Z[UTC]",
        "2006-01-02T15:04:05+01:00[Europe/Berlin]",
        "2006-01-02t15:04:05Z",
        "2006-01-02T15:04:05z",
        "2006-01-02 15:04:05Z",
        "2006-01-02T15:04:05+0100",
        "2006-01-02T15:04:05+01",
        "2006-01-02T15:04:05.Z",
        "2006-01-02T15:04:05 Z",
        "2023-02-29T00:00:00Z",
        "2006-13-01T00:00:00Z",
        "2006-00-01T00:00:00Z",
        "2006-01-00T00:00:00Z",
        "+002006-01-02T15:04:05Z",
        "20060102T150405Z",
        "2006-1-2T15:04:05Z",
        "2006-01-02T15:04:05+25:00",
        "12006-01-02T15:04:05Z",
        "2006-01-02T15:04:05Zé",
        "2006-01-02T15:04:05é",
    ];

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, want) in RIGHT {
            let read = rfc3339(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some(*want), "{text}");
        }
        for text in WRONG {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_beyond_the_last_is_the_last() {
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"] {
            assert_eq!(rfc3339(text), Some(jiff::Timestamp::MAX), "{text}");
        }
        for text in ["0000-01-01T00:00:00Z", "0000-01-01T00:00:00+24:60"] {
            let read = rfc3339(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some("0000-01-01T00:00:00Z"), "{text}");
        }
    }
}
