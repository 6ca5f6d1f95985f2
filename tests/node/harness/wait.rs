//! Waiting for something to become true, with the last reason why it was not.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value, and returns it.
///
/// # Panics
///
/// When `limit` passes first; the message has `what` and the last error that `look` gave.
pub fn wait_for<T>(limit: Duration, what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    try_wait_for(limit, what, look).unwrap_or_else(|error| panic!("{error}"))
}

/// As [`wait_for`], but returns the message.
pub fn try_wait_for<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(why) if start.elapsed() >= limit => {
                return Err(format!("not within {limit:?}: {what}; last: {why}"));
            }
            Err(_) => thread::sleep(STEP),
        }
    }
}
