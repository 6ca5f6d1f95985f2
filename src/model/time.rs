//! Arithmetic on times that ends at the ends of time: whatever is written in a manifest, sent in a
//! request or stamped on a file, none of it panics. The operators do, and are refused by the lint
//! `clippy::arithmetic_side_effects`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A time that much later; the last there is where that lies beyond it.
#[must_use]
pub fn later(than: Timestamp, by: Duration) -> Timestamp {
    than.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time that much earlier; the first there is where that lies beyond it.
#[must_use]
pub fn earlier(than: Timestamp, by: Duration) -> Timestamp {
    than.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// A time that much later, or earlier; no further than time goes.
#[must_use]
pub fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// How long it is from one time to another; zero where that comes first.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_at_its_ends() {
        let now = Timestamp::UNIX_EPOCH;
        let second = Duration::from_secs(1);
        assert_eq!(later(now, second).as_second(), 1);
        assert_eq!(earlier(now, second).as_second(), -1);
        assert_eq!(between(now, later(now, second)), second);
        assert_eq!(between(later(now, second), now), Duration::ZERO);
        for long in [260_000_000_000, 999_999_999_999, u64::MAX].map(Duration::from_secs) {
            assert_eq!(later(now, long), Timestamp::MAX);
            assert!(earlier(now, long) < now);
        }
        assert_eq!(later(Timestamp::MAX, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(Timestamp::MIN, Duration::MAX), Timestamp::MIN);
        let all = between(Timestamp::MIN, Timestamp::MAX);
        assert_eq!(later(Timestamp::MIN, all), Timestamp::MAX);
    }
}
