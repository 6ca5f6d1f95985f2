//! Durations in kubectl's words.

use std::time::Duration;

use super::fixture::at;
use crate::status::{human_age, human_duration};

#[test]
fn durations_are_written_as_kubectl_does() {
    let (minute, hour, day) = (60, 3600, 86400);
    for (seconds, text) in [
        (0, "0s"),
        (119, "119s"),
        (2 * minute, "2m"),
        (2 * minute + 5, "2m5s"),
        (10 * minute + 5, "10m"),
        (179 * minute, "179m"),
        (3 * hour, "3h"),
        (7 * hour + 12 * minute, "7h12m"),
        (8 * hour + minute, "8h"),
        (47 * hour, "47h"),
        (2 * day + 3 * hour, "2d3h"),
        (8 * day, "8d"),
        (729 * day, "729d"),
        (2 * 365 * day + day, "2y1d"),
        (8 * 365 * day + day, "8y"),
    ] {
        assert_eq!(
            human_duration(Duration::from_secs(seconds)),
            text,
            "{seconds}"
        );
    }
    assert_eq!(human_age(None, at(0)), "<unknown>");
    assert_eq!(human_age(Some(at(9)), at(0)), "0s");
}
