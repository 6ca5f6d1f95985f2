//! Replacing an admitted DaemonSet by another: what may not change, and what counts as a change.

use super::{Cause, DaemonSet, FieldError};

/// What an API server would refuse about the replacement: the selector may not change.
#[must_use]
pub fn validate_update(old: &DaemonSet, new: &DaemonSet) -> Vec<FieldError> {
    if old.spec().selector == new.spec().selector {
        return Vec::new();
    }
    let message =
        "cannot change once the set exists; delete the set first, or give this one a new name";
    vec![FieldError::new("spec.selector", Cause::Invalid, message)]
}

/// Whether the replacement is a new generation: any part of the spec differs after defaulting.
#[must_use]
pub fn generation_changed(old: &DaemonSet, new: &DaemonSet) -> bool {
    old.spec() != new.spec()
}

/// Whether the replacement is a new revision: the template differs after defaulting.
#[must_use]
pub fn template_changed(old: &DaemonSet, new: &DaemonSet) -> bool {
    old.template() != new.template()
}
