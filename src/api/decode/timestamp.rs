//! RFC 3339 times as Kubernetes reads and writes them.

/// The time in UTC with whole seconds, `2006-01-02T15:04:05Z`; nothing if it is no RFC 3339 time.
pub(super) fn normalise(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let separated = bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T');
    if !separated {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    let whole = jiff::Timestamp::from_second(time.as_second()).ok()?;
    Some(whole.to_string())
}
