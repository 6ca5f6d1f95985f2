//! Decides when to look at the sizes of logs again, from how fast they grew.
//!
//! Pure: sizes and durations in, a duration out.

use std::time::Duration;

/// The longest time between two looks.
const SELDOM: Duration = Duration::from_secs(1);
/// The shortest: looking costs something, too.
const OFTEN: Duration = Duration::from_millis(50);

/// How large a log is and how fast it grew up to then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    size: u64,
    per_second: f64,
}

impl Growth {
    /// What a look tells, given what the one before told, if there was one, that long ago.
    pub fn seen(before: Option<Self>, size: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.max(OFTEN).as_secs_f64();
        let speed = |bytes: u64| bytes as f64 / seconds;
        let per_second = match before {
            // Perhaps all of it was written just now.
            None => size as f64 / SELDOM.as_secs_f64(),
            // A log that is smaller was rotated meanwhile, at an unknown moment; one that grew slower
            // may have had a pause only.
            Some(before) => {
                let grown = size.checked_sub(before.size).unwrap_or(size);
                speed(grown).max(before.per_second / 2.0)
            }
        };
        Self { size, per_second }
    }

    /// How long until it has a size, if it goes on like that; one that has it already is being
    /// rotated and begins anew.
    fn until(&self, max_size: u64) -> Duration {
        let left = match max_size.saturating_sub(self.size) {
            0 => max_size,
            left => left,
        };
        Duration::try_from_secs_f64(left as f64 / self.per_second).unwrap_or(SELDOM)
    }
}

/// How long to wait before the next look: until the first log will be too large.
pub(super) fn next_look(logs: impl Iterator<Item = Growth>, max_size: u64) -> Duration {
    let first = logs.map(|log| log.until(max_size)).min();
    first.unwrap_or(SELDOM).clamp(OFTEN, SELDOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TENTH: Duration = Duration::from_millis(100);

    fn next(before: Option<(u64, f64)>, size: u64, elapsed: Duration) -> Duration {
        let before = before.map(|(size, per_second)| Growth { size, per_second });
        next_look([Growth::seen(before, size, elapsed)].into_iter(), 1000)
    }

    #[test]
    fn logs_that_do_not_grow_are_looked_at_every_second() {
        assert_eq!(next_look(std::iter::empty(), 1000), SECOND);
        assert_eq!(next(None, 0, SECOND), SECOND);
        assert_eq!(next(Some((999, 0.0)), 999, SECOND), SECOND);
        assert_eq!(next(Some((100, 0.0)), 150, SECOND), SECOND);
    }

    #[test]
    fn a_log_that_grows_is_looked_at_when_it_will_be_too_large() {
        assert_eq!(
            next(Some((0, 0.0)), 800, SECOND),
            Duration::from_millis(250)
        );
        assert_eq!(next(Some((0, 0.0)), 500, TENTH), TENTH);
        // Never more often than that.
        assert_eq!(next(Some((0, 0.0)), 990, TENTH), OFTEN);
    }

    #[test]
    fn a_log_that_is_too_large_begins_anew() {
        assert_eq!(next(Some((0, 0.0)), 10_000, SECOND), TENTH);
        assert_eq!(next(None, 10_000, SECOND), TENTH);
    }

    #[test]
    fn the_speed_outlives_a_rotation() {
        let growth = |per_second| Growth {
            size: 2000,
            per_second,
        };
        let seen = Growth::seen(Some(growth(10_000.0)), 0, TENTH);
        assert_eq!(
            seen,
            Growth {
                size: 0,
                per_second: 5000.0
            }
        );
        let seen = Growth::seen(Some(growth(10.0)), 300, TENTH);
        assert_eq!(
            seen,
            Growth {
                size: 300,
                per_second: 3000.0
            }
        );
    }

    #[test]
    fn the_fastest_log_decides() {
        let slow = Growth::seen(None, 1, SECOND);
        let fast = Growth::seen(None, 5000, SECOND);
        let both = [slow, fast].into_iter();
        assert_eq!(next_look(both, 1000), Duration::from_millis(200));
    }
}
