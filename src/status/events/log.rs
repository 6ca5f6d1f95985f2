//! Adds equal events up and forgets old ones, as client-go's correlator and an API server's
//! `--event-ttl` do (`client-go/tools/record/events_cache.go`).
//!
//! The same note about the same object raises a count. From the tenth different message of a kind
//! within ten minutes on, all that follow are one event, with the newest message. Differs: the
//! correlator also drops events of an object that tells too many; here nothing crosses a network,
//! so counts stay exact, and the log is bounded instead.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::time::later;
use crate::model::{Event, EventLog, KindKey, Kindred, Note};

/// The most events that are remembered; then those that happened longest ago go.
const MOST: usize = 1_000;
/// How long an event is remembered after it last happened, as by `--event-ttl`.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// The longest message in bytes.
const LONGEST: usize = 1_024;
/// So many different messages of a kind are a crowd, of which one event is made.
const CROWD: usize = 10;
/// Messages are forgotten when there was none of their kind for this long.
const CROWD_FOR: Duration = Duration::from_secs(10 * 60);
/// What the message of a crowd's event begins with.
const COMBINED: &str = "(combined from similar events): ";

/// Takes a note into the log. `uid` is used where it is the first of its like.
pub fn record(log: &mut EventLog, mut note: Note, now: Timestamp, uid: String) {
    expire(log, now);
    shorten(&mut note.message);
    let is_crowd = is_crowd(log, &note, now);
    if is_crowd {
        note.message.insert_str(0, COMBINED);
        shorten(&mut note.message);
    }
    let same = |event: &Arc<Event>| {
        let known = &event.note;
        let alike = known.involved == note.involved
            && known.event_type == note.event_type
            && known.reason == note.reason;
        let combined = is_crowd && known.message.starts_with(COMBINED);
        alike && (combined || known.message == note.message)
    };
    let known = log.events.iter().position(same);
    let event = match known.and_then(|index| log.events.remove(index)) {
        Some(known) => {
            let known = Arc::unwrap_or_clone(known);
            Event {
                note,
                count: known.count.saturating_add(1),
                last: now,
                ..known
            }
        }
        None => Event {
            name: format!("{}.{:x}", note.involved.name, now.as_nanosecond()),
            uid,
            note,
            count: 1,
            first: now,
            last: now,
        },
    };
    log.events.push_back(Arc::new(event));
    if log.events.len() > MOST {
        log.events.pop_front();
    }
    log.version += 1;
}

/// Forgets what happened too long ago; true when there was such.
pub fn expire(log: &mut EventLog, now: Timestamp) -> bool {
    let before = log.events.len();
    while log
        .events
        .front()
        .is_some_and(|e| later(e.last, KEPT) <= now)
    {
        log.events.pop_front();
    }
    log.kindred
        .retain(|_, kindred| now < later(kindred.last, CROWD_FOR));
    let expired = log.events.len() < before;
    log.version += u64::from(expired);
    expired
}

/// When the next event is to be forgotten.
#[must_use]
pub fn next_expiry(log: &EventLog) -> Option<Timestamp> {
    log.events.front().map(|event| later(event.last, KEPT))
}

/// Whether a note is one of too many of its kind that differ.
fn is_crowd(log: &mut EventLog, note: &Note, now: Timestamp) -> bool {
    let key: KindKey = (note.involved.clone(), note.event_type, note.reason.clone());
    let kindred = log.kindred.entry(key).or_insert_with(|| Kindred {
        messages: Vec::new(),
        last: now,
    });
    kindred.last = now;
    let mut hasher = DefaultHasher::new();
    note.message.hash(&mut hasher);
    let message = hasher.finish();
    if !kindred.messages.contains(&message) && kindred.messages.len() < CROWD {
        kindred.messages.push(message);
    }
    kindred.messages.len() >= CROWD
}

/// Cuts a message that is too long, between two characters.
fn shorten(message: &mut String) {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rfind(|&end| message.is_char_boundary(end));
        message.truncate(end.unwrap_or_default());
    }
}
