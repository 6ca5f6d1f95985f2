//! Labels, annotations, and the selectors over them.

use super::at::{At, Errors};
use super::names;
use crate::api::Cause;

/// Labels: every key and value, reported on the map as a whole.
pub(crate) fn labels(errors: &mut Errors, at: &At<'_, '_>, path: &str) {
    for (key, value) in at.entries() {
        let complaints = [names::qualified(key), names::label_value(value.str())];
        for message in complaints.into_iter().flatten() {
            errors.add(path.to_owned(), Cause::Invalid, message);
        }
    }
}

/// All annotations of an object may take this many bytes together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Annotations: every key, and the size of all, reported on the map as a whole.
pub(crate) fn annotations(errors: &mut Errors, at: &At<'_, '_>, path: &str) {
    let mut size = 0;
    for (key, value) in at.entries() {
        if let Some(message) = names::qualified(&key.to_lowercase()) {
            errors.add(path.to_owned(), Cause::Invalid, message);
        }
        size += key.len() + value.str().len();
    }
    if size > MAX_ANNOTATIONS {
        let message = format!("annotations take {size} bytes; {MAX_ANNOTATIONS} are allowed");
        errors.add(path.to_owned(), Cause::TooLong, message);
    }
}

/// A label selector; whether it can be used for matching.
pub(crate) fn selector(errors: &mut Errors, at: &At<'_, '_>) -> bool {
    let before = errors.count;
    let exact = at.field("matchLabels");
    labels(errors, &exact, &exact.path());
    for requirement in at.field("matchExpressions").items() {
        let (operator, values) = (requirement.field("operator"), requirement.field("values"));
        match operator.str() {
            "In" | "NotIn" => {
                if values.len() == 0 {
                    errors.required(&values, "must list the values for In or NotIn");
                }
            }
            "Exists" | "DoesNotExist" => {
                if values.len() > 0 {
                    errors.forbidden(
                        &values,
                        "Exists and DoesNotExist take no values; remove them",
                    );
                }
            }
            other => {
                let allowed = "use In, NotIn, Exists or DoesNotExist";
                errors.invalid(&operator, format!("{other:?} is no operator; {allowed}"));
            }
        }
        errors.check(&requirement.field("key"), names::qualified);
        for value in values.items() {
            errors.check(&value, names::label_value);
        }
    }
    errors.count == before
}
