//! The clocks. Only here are they read for what time it is, and only here are the two kinds of time
//! brought together.
//!
//! Everything that is decided is reckoned on **the line**: times that count evenly, also while the
//! machine sleeps (`CLOCK_BOOTTIME`), whatever is done to the time of day. So a wait is as long as it
//! says, and of two times the later one is the greater. The line began as the time of day and is one
//! for the life of a state directory: within a boot it goes on exactly, from one boot to the next by
//! what the time of day says has passed, and never before what is on disk already. What lies on disk
//! lies on it.
//!
//! People see the **time of day**: [`ahead`] is what it is ahead of the line now, and is added to what
//! is shown. What others have stamped with the time of day (the runtime) comes onto the line with
//! [`on_line`] when it is first heard of: a stamp of a time to come counts as now. A step of less than
//! a second is not looked at, so that the same time is always shown the same.
//!
//! Waits are tokio's, which do not count while the machine sleeps: [`sleep`] looks at the line in
//! between, so that a wait that is over is noticed soon after.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::time::{between, earlier, later, shifted};

/// Steps of the time of day that are smaller do not count.
const STEP: SignedDuration = SignedDuration::from_secs(1);
/// The longest time between two looks at the line while something is waited for.
const LOOK: Duration = Duration::from_secs(30);
/// Where the kernel says which boot this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Where the line is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The boot in which that was found, as the kernel names it.
    boot: String,
    /// The time on the line when that boot's clock began to count.
    zero: Timestamp,
    /// How far the time of day was ahead of the line when last looked at, in nanoseconds.
    ahead: i64,
}

/// What the machine's clocks say at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    boot: String,
    /// Since the boot, sleep included.
    elapsed: Duration,
    /// The time of day.
    wall: Timestamp,
}

impl Line {
    /// The line that was, gone on with; a new one where there was none. It comes after `newest`, the
    /// last time that is on disk.
    fn go_on(known: Option<Self>, newest: Option<Timestamp>, reading: Reading) -> Self {
        let before = known.as_ref().map_or(0, |line| line.ahead);
        let now = match &known {
            Some(line) if line.boot == reading.boot => later(line.zero, reading.elapsed),
            _ => on_line(
                reading.wall,
                SignedDuration::from_nanos(before),
                Timestamp::MAX,
            ),
        };
        let now = newest.map_or(now, |newest| now.max(newest));
        Self {
            boot: reading.boot,
            zero: earlier(now, reading.elapsed),
            ahead: settled(before, reading.wall.duration_since(now)),
        }
    }
}

static LINE: OnceLock<Line> = OnceLock::new();
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Goes on with the line that is on disk, and says where it is now; to be called before any other
/// time is read. `newest` is the last time that is on disk.
pub fn begin(known: Option<Line>, newest: Option<Timestamp>) -> Line {
    LINE.get_or_init(|| begun(Line::go_on(known, newest, reading())));
    line()
}

/// Where the line is now.
#[must_use]
pub fn line() -> Line {
    let ahead = nanos(ahead());
    let line = LINE.get_or_init(|| begun(Line::go_on(None, None, reading())));
    Line {
        ahead,
        ..line.clone()
    }
}

fn begun(line: Line) -> Line {
    AHEAD.store(line.ahead, Ordering::Relaxed);
    line
}

/// The time on the line.
#[must_use]
pub fn steady() -> Timestamp {
    let line = LINE.get_or_init(|| begun(Line::go_on(None, None, reading())));
    later(line.zero, elapsed())
}

/// The time of day.
#[must_use]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// How far the time of day is ahead of the line.
#[must_use]
pub fn ahead() -> SignedDuration {
    let seen = wall().duration_since(steady());
    let ahead = settled(AHEAD.load(Ordering::Relaxed), seen);
    AHEAD.store(ahead, Ordering::Relaxed);
    SignedDuration::from_nanos(ahead)
}

/// A stamp of the time of day on the line, `ahead` and `now` being as they are when it is first heard
/// of: what lies in the future counts as now.
#[must_use]
pub fn on_line(stamp: Timestamp, ahead: SignedDuration, now: Timestamp) -> Timestamp {
    let back = ahead.checked_neg().unwrap_or(SignedDuration::MAX);
    shifted(stamp, back).min(now)
}

/// Waits that long on a clock's line, and no longer by any clock.
pub async fn sleep(clock: fn() -> Timestamp, time: Duration) {
    sleep_looking(clock, time, LOOK).await;
}

/// As [`sleep`], with that long between two looks.
async fn sleep_looking(clock: fn() -> Timestamp, time: Duration, look: Duration) {
    let until = later(clock(), time);
    let mut left = time;
    while !left.is_zero() {
        let part = left.min(look);
        tokio::time::sleep(part).await;
        left = left.saturating_sub(part).min(between(clock(), until));
    }
}

/// What was known already, unless what is seen differs by a step.
fn settled(known: i64, seen: SignedDuration) -> i64 {
    let seen = nanos(seen);
    if seen.abs_diff(known)
        < STEP
            .as_nanos()
            .unsigned_abs()
            .try_into()
            .unwrap_or(u64::MAX)
    {
        known
    } else {
        seen
    }
}

fn nanos(time: SignedDuration) -> i64 {
    let most = if time.is_negative() {
        i64::MIN
    } else {
        i64::MAX
    };
    i64::try_from(time.as_nanos()).unwrap_or(most)
}

fn reading() -> Reading {
    Reading {
        // Where the kernel does not say, each start is a boot of its own.
        boot: files::read_text(Path::new(BOOT), 64).map_or_else(
            |_| format!("process {}", std::process::id()),
            |text| text.trim().to_owned(),
        ),
        elapsed: elapsed(),
        wall: wall(),
    }
}

/// Since the boot, sleep included.
fn elapsed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into()))
}

/// What is counted on a clock that runs evenly.
pub trait After: Copy {
    /// That much later; an age away where there is no such time.
    #[must_use]
    fn after(self, by: Duration) -> Self;
}

/// Longer than anybody waits: thirty years.
const AGE: Duration = Duration::from_secs(30 * 365 * 86_400);

impl After for std::time::Instant {
    fn after(self, by: Duration) -> Self {
        self.checked_add(by)
            .or_else(|| self.checked_add(AGE))
            .unwrap_or(self)
    }
}

impl After for tokio::time::Instant {
    fn after(self, by: Duration) -> Self {
        self.checked_add(by)
            .or_else(|| self.checked_add(AGE))
            .unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const YEAR: i64 = 365 * 24 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn read(boot: &str, elapsed: u64, wall: i64) -> Reading {
        Reading {
            boot: boot.to_owned(),
            elapsed: Duration::from_secs(elapsed),
            wall: at(wall),
        }
    }

    /// The time on the line, and the time of day that is shown for it.
    fn now(line: &Line, elapsed: u64) -> (Timestamp, Timestamp) {
        let now = later(line.zero, Duration::from_secs(elapsed));
        (now, shifted(now, SignedDuration::from_nanos(line.ahead)))
    }

    #[test]
    fn within_a_boot_the_line_goes_on_whatever_the_time_of_day_does() {
        let first = Line::go_on(None, None, read("a", 100, 50 * YEAR));
        assert_eq!(now(&first, 100), (at(50 * YEAR), at(50 * YEAR)));
        for step in [-2 * HOUR, -100, 0, 10 * YEAR] {
            let wall = 50 * YEAR + 60 + step;
            let next = Line::go_on(Some(first.clone()), None, read("a", 160, wall));
            assert_eq!(now(&next, 160), (at(50 * YEAR + 60), at(wall)), "{step}");
        }
    }

    #[test]
    fn after_a_boot_the_line_goes_on_by_the_time_of_day_and_never_back() {
        let first = Line::go_on(None, None, read("a", 100, 0));
        // The time of day was set right in that life.
        let first = Line {
            ahead: 56 * YEAR * 1_000_000_000,
            ..first
        };
        let right = Line::go_on(Some(first.clone()), None, read("b", 5, 56 * YEAR + HOUR));
        assert_eq!(now(&right, 5), (at(HOUR), at(56 * YEAR + HOUR)));
        let newest = Some(at(HOUR));
        let wrong = Line::go_on(Some(first), newest, read("b", 5, 0));
        assert_eq!(now(&wrong, 5), (at(HOUR), at(0)));
        let lost = Line::go_on(None, newest, read("b", 5, 10));
        assert_eq!(now(&lost, 5), (at(HOUR), at(10)));
    }

    #[test]
    fn a_stamp_comes_onto_the_line_and_is_never_to_come() {
        let hour = SignedDuration::from_secs(HOUR);
        assert_eq!(on_line(at(5000), hour, at(2000)), at(1400));
        assert_eq!(on_line(at(5000), SignedDuration::ZERO, at(2000)), at(2000));
        assert_eq!(on_line(Timestamp::MAX, SignedDuration::MIN, at(7)), at(7));
    }

    #[test]
    fn what_is_shown_changes_only_with_a_step() {
        assert_eq!(settled(5, SignedDuration::from_millis(999)), 5);
        assert_eq!(settled(0, SignedDuration::from_secs(1)), 1_000_000_000);
        assert_eq!(settled(0, SignedDuration::MIN), i64::MIN);
    }

    #[test]
    fn the_machines_clocks_agree() {
        assert!(steady() <= steady());
        assert!(ahead().unsigned_abs() < Duration::from_secs(60));
        assert_eq!(line().boot, reading().boot);
    }

    #[tokio::test]
    async fn a_wait_is_no_longer_than_it_says_by_any_clock() {
        let look = Duration::from_millis(10);
        let began = tokio::time::Instant::now();
        // A clock that stands still.
        sleep_looking(|| Timestamp::UNIX_EPOCH, look.saturating_mul(3), look).await;
        assert!(began.elapsed() >= look.saturating_mul(3));
        // One that goes on while the machine sleeps: nobody waits for the rest of the year.
        static NOW: AtomicI64 = AtomicI64::new(0);
        let clock = || at(NOW.fetch_add(YEAR, Ordering::Relaxed));
        sleep_looking(clock, Duration::from_secs(300), look).await;
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn no_wait_is_too_long_for_a_clock() {
        let now = std::time::Instant::now();
        assert_eq!(now.after(AGE).duration_since(now), AGE);
        let now = tokio::time::Instant::now();
        assert!(now.after(Duration::MAX).duration_since(now) >= AGE);
    }
}
