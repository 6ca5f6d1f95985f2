//! RFC 3339 times as Kubernetes reads and writes them.

use crate::api::rfc3339;

/// The time in UTC with whole seconds, `2006-01-02T15:04:05Z`; nothing if it is no RFC 3339 time.
pub(super) fn normalise(text: &str) -> Option<String> {
    let second = rfc3339(text)?.strftime("%Y-%m-%dT%H:%M:%SZ");
    Some(second.to_string())
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn times_are_those_of_go() {
        let shown = |text| normalise(text);
        assert_eq!(
            shown("2006-01-02T15:04:05.9+01:00").as_deref(),
            Some("2006-01-02T14:04:05Z")
        );
        assert_eq!(
            shown("0000-01-01T00:00:00Z").as_deref(),
            Some("0000-01-01T00:00:00Z")
        );
        assert_eq!(
            shown("9999-12-31T23:59:59Z").as_deref(),
            Some("9999-12-30T22:00:00Z")
        );
        for text in [
            "2016-12-31T23:59:60Z",
            "2006-01-02T15:04Z",
            "2006-01-02T15:04:05Z[UTC]",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
