//! The runtime's stamps, which are of the time of day, on the line that everything is decided on.
//!
//! Each comes onto it once, when it is first heard of, and stays: so a step of the time of day moves
//! nothing that was known before, and what is stamped with a time to come happened when it was heard
//! of.

use jiff::{SignedDuration, Timestamp};

use super::Lists;
use super::convert::time;
use crate::clock;
use crate::cri;
use crate::runtime::Runtime;
use crate::runtime::cache::{Cache, Details, End};

/// What a stamp is reckoned with at one moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Reckoning {
    /// How far the time of day is ahead of the line.
    pub ahead: SignedDuration,
    /// The time on the line.
    pub now: Timestamp,
}

impl Runtime {
    /// How stamps are reckoned now.
    pub(in crate::runtime) fn reckoning(&self) -> Reckoning {
        Reckoning {
            ahead: clock::ahead(),
            now: (self.inner.clock)(),
        }
    }
}

impl Reckoning {
    /// A stamp that is first heard of, in nanoseconds; what never happened stays so.
    fn stamp(self, stamp: i64) -> i64 {
        if stamp <= 0 {
            return stamp;
        }
        let at = clock::on_line(time(stamp), self.ahead, self.now);
        i64::try_from(at.as_nanosecond()).unwrap_or(stamp)
    }

    /// When the sandboxes and containers of lists were made.
    pub(super) fn lists(self, lists: &mut Lists, cache: &Cache) {
        let made = |id: &str, stamp: &mut i64| {
            *stamp = cache.made(id, || self.stamp(*stamp));
        };
        for sandbox in &mut lists.sandboxes {
            made(&sandbox.id, &mut sandbox.created_at);
        }
        for container in &mut lists.containers {
            made(&container.id, &mut container.created_at);
        }
    }

    /// When a container started and ended, `known` being what was read of it before.
    pub(super) fn status(self, status: &mut cri::ContainerStatus, known: Option<&Details>) {
        let started = known.map(|known| known.started_at.as_nanosecond());
        let started = started.and_then(|started| i64::try_from(started).ok());
        status.started_at = match started.filter(|started| *started > 0) {
            Some(started) if status.started_at > 0 => started,
            _ => self.stamp(status.started_at),
        };
        if status.finished_at > 0 {
            status.finished_at = self.stamp(status.finished_at).max(status.started_at);
        }
    }

    /// When a container ended, as an event says it.
    pub(in crate::runtime) fn end(self, end: End) -> End {
        let at = clock::on_line(end.at, self.ahead, self.now);
        End { at, ..end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn reckoning(ahead: i64, now: i64) -> Reckoning {
        Reckoning {
            ahead: SignedDuration::from_secs(ahead),
            now: Timestamp::from_second(now).unwrap(),
        }
    }

    fn made(cache: &Cache, reckoning: Reckoning, second: i64) -> i64 {
        let mut lists = Lists {
            sandboxes: vec![cri::PodSandbox {
                id: "s".into(),
                created_at: second * SECOND,
                ..Default::default()
            }],
            containers: Vec::new(),
        };
        reckoning.lists(&mut lists, cache);
        lists.sandboxes[0].created_at / SECOND
    }

    #[test]
    fn a_sandbox_made_in_the_future_was_made_when_it_was_first_seen() {
        let cache = Cache::default();
        assert_eq!(made(&cache, reckoning(0, 100), 1_000_000), 100);
        assert_eq!(made(&cache, reckoning(0, 130), 1_000_000), 100);
        // The clock is set right.
        assert_eq!(made(&cache, reckoning(999_990, 140), 1_000_000), 100);
    }

    #[test]
    fn a_step_between_start_and_end_is_no_time_that_it_ran() {
        let status = |started: i64, finished: i64| cri::ContainerStatus {
            started_at: started * SECOND,
            finished_at: finished * SECOND,
            ..Default::default()
        };
        let mut running = status(100_000, 0);
        reckoning(0, 100_001).status(&mut running, None);
        let known = super::super::convert::details(&running);
        for (ahead, finished) in [(-7200, 92_830), (0, 100_030), (315_360_000, 315_460_030)] {
            let mut ended = status(100_000, finished);
            reckoning(ahead, 100_031).status(&mut ended, Some(&known));
            let times = (ended.started_at / SECOND, ended.finished_at / SECOND);
            assert_eq!(times, (100_000, 100_030), "{ahead}");
        }
        // It ended before the step and is heard of after it.
        let mut ended = status(100_000, 100_030);
        reckoning(315_360_000, 100_031).status(&mut ended, Some(&known));
        assert_eq!(ended.finished_at, ended.started_at);
        let mut never = status(0, 0);
        reckoning(5, 1031).status(&mut never, None);
        assert_eq!((never.started_at, never.finished_at), (0, 0));
    }
}
