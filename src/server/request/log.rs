//! The query of a log request, checked as kube-apiserver checks `PodLogOptions`.

use jiff::Timestamp;

use super::{Query, flag, text};
use crate::api::rfc3339;
use crate::server::failure::{Failure, Invalid};

/// The query of a log request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::server) struct LogQuery {
    pub container: Option<String>,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    /// From 0.
    pub tail_lines: Option<u64>,
    /// From 1.
    pub limit_bytes: Option<u64>,
    /// From 1.
    pub since_seconds: Option<u64>,
    pub since_time: Option<Timestamp>,
}

/// Reads the query of a request for a log of this pod.
pub(super) fn log_query(pod: &str, query: &Query) -> Result<LogQuery, Failure> {
    let since_time = text(query, "sinceTime").map(|time| {
        rfc3339(time)
            .ok_or_else(|| Failure::bad_request(format!("sinceTime: {time:?} is no RFC 3339 time")))
    });
    let since_time = since_time.transpose()?;
    let tail_lines = integer(query, "tailLines")?;
    let limit_bytes = integer(query, "limitBytes")?;
    let since_seconds = integer(query, "sinceSeconds")?;
    let mut wrong = Vec::new();
    let tail_lines = at_least(0, "tailLines", tail_lines, &mut wrong);
    let limit_bytes = at_least(1, "limitBytes", limit_bytes, &mut wrong);
    if since_seconds.is_some() && since_time.is_some() {
        wrong.push(Invalid {
            field: "",
            reason: "FieldValueForbidden",
            message: "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
                .to_owned(),
        });
        return Err(Failure::invalid_object("PodLogOptions", pod, &wrong));
    }
    let since_seconds = at_least(1, "sinceSeconds", since_seconds, &mut wrong);
    if !wrong.is_empty() {
        return Err(Failure::invalid_object("PodLogOptions", pod, &wrong));
    }
    Ok(LogQuery {
        container: text(query, "container").map(str::to_owned),
        follow: flag(query, "follow")?,
        previous: flag(query, "previous")?,
        timestamps: flag(query, "timestamps")?,
        tail_lines,
        limit_bytes,
        since_seconds,
        since_time,
    })
}

/// The number, where it is one and at least so large.
fn at_least(
    least: u64,
    field: &'static str,
    number: Option<i64>,
    wrong: &mut Vec<Invalid>,
) -> Option<u64> {
    let number = number?;
    let found = u64::try_from(number).ok().filter(|found| *found >= least);
    if found.is_none() {
        let bound = match least {
            0 => "greater than or equal to 0",
            _ => "greater than 0",
        };
        wrong.push(Invalid {
            field,
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {number}: must be {bound}"),
        });
    }
    found
}

/// A whole number of 64 bits, as Go reads one.
fn integer(query: &Query, name: &str) -> Result<Option<i64>, Failure> {
    let wrong = |value| {
        Failure::bad_request(format!(
            "{name}: {value:?} is not a whole number of 64 bits"
        ))
    };
    text(query, name)
        .map(|value| value.parse().map_err(|_| wrong(value)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> serde_json::Value {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let failure = log_query("web-1", &pairs.collect()).expect_err("it is refused");
        failure.status()
    }

    /// The messages are those of `ValidatePodLogOptions` in `NewInvalid`.
    #[test]
    fn numbers_below_their_bound_are_refused_as_by_kube_apiserver() {
        for (name, value, bound) in [
            ("tailLines", "-1", "greater than or equal to 0"),
            ("limitBytes", "0", "greater than 0"),
            ("limitBytes", "-9223372036854775808", "greater than 0"),
            ("sinceSeconds", "0", "greater than 0"),
            ("sinceSeconds", "-5", "greater than 0"),
        ] {
            let status = refused(&[(name, value)]);
            let body = format!("Invalid value: {value}: must be {bound}");
            assert_eq!(status["code"], 422, "{name}={value}");
            assert_eq!(status["reason"], "Invalid");
            let message = format!("PodLogOptions \"web-1\" is invalid: {name}: {body}");
            assert_eq!(status["message"], message);
            let cause = serde_json::json!({
                "reason": "FieldValueInvalid", "message": body, "field": name,
            });
            let details = serde_json::json!({
                "name": "web-1", "kind": "PodLogOptions", "causes": [cause],
            });
            assert_eq!(status["details"], details);
        }
        let both = refused(&[("tailLines", "-1"), ("limitBytes", "0")]);
        let message = "PodLogOptions \"web-1\" is invalid: \
            [tailLines: Invalid value: -1: must be greater than or equal to 0, \
            limitBytes: Invalid value: 0: must be greater than 0]";
        assert_eq!(both["message"], message);
        let both = refused(&[("sinceSeconds", "5"), ("sinceTime", "2026-01-01T00:00:00Z")]);
        assert_eq!(both["code"], 422);
        assert_eq!(
            both["details"]["causes"][0]["reason"],
            "FieldValueForbidden"
        );
    }

    #[test]
    fn what_is_no_number_or_time_is_a_bad_request() {
        for pair in [
            ("tailLines", "x"),
            ("limitBytes", "1.5"),
            ("sinceSeconds", "9223372036854775808"),
            ("sinceTime", "2026-01-01T00:00:60Z"),
            ("sinceTime", "2026-01-01T00:00:00Z[UTC]"),
            ("sinceTime", "2026-01-01T00:00Z"),
        ] {
            assert_eq!(refused(&[pair])["code"], 400, "{pair:?}");
        }
    }

    #[test]
    fn a_time_beyond_the_last_is_read() {
        let query = vec![("sinceTime".to_owned(), "9999-12-31T23:59:59Z".to_owned())];
        let read = log_query("web-1", &query).map(|query| query.since_time);
        assert_eq!(read, Ok(Some(Timestamp::MAX)));
    }
}
