//! Replacing an admitted DaemonSet by another: what may not change, and what counts as a change.

use serde_json::Value;

use super::schema::{DAEMON_SET, Type};
use super::{Cause, DaemonSet, FieldError, Object, Quantity};

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

/// What an API server would refuse about the replacement of a ConfigMap or a Secret: data that both say
/// to be immutable may not change.
///
/// Differs: an object of a file may say that it is immutable no longer; an API server's may not.
#[must_use]
pub fn changed_immutable(old: &Object, new: &Object) -> Option<FieldError> {
    if !old.is_immutable() || !new.is_immutable() {
        return None;
    }
    let field = match (old, new) {
        (Object::ConfigMap(old), Object::ConfigMap(new)) if old.data != new.data => "data",
        (Object::ConfigMap(old), Object::ConfigMap(new)) if old.binary_data != new.binary_data => {
            "binaryData"
        }
        (Object::Secret(old), Object::Secret(new)) if old.data != new.data => "data",
        _ => return None,
    };
    let message = "field is immutable when `immutable` is set; remove the object first, or give it a new name";
    Some(FieldError::new(field, Cause::Forbidden, message))
}

/// Whether the replacement is a new generation: any part of the spec differs after defaulting.
#[must_use]
pub fn generation_changed(old: &DaemonSet, new: &DaemonSet) -> bool {
    differs(old, new, &["spec"])
}

/// Whether the replacement's template differs after defaulting.
#[must_use]
pub fn template_changed(old: &DaemonSet, new: &DaemonSet) -> bool {
    differs(old, new, &["spec", "template"])
}

/// Compares one part of two sets; quantities are equal when their amounts are.
fn differs(old: &DaemonSet, new: &DaemonSet, path: &[&str]) -> bool {
    let value = |set: &DaemonSet| serde_json::to_value(set.object()).unwrap_or_default();
    let (mut a, mut b, mut ty) = (&value(old), &value(new), &Type::Object(&DAEMON_SET));
    for name in path {
        (a, b) = (&a[*name], &b[*name]);
        match ty {
            Type::Object(fields) => ty = fields.field(name).unwrap_or(&Type::Any),
            _ => ty = &Type::Any,
        }
    }
    !equal(ty, a, b)
}

fn equal(ty: &Type, a: &Value, b: &Value) -> bool {
    match (ty, a, b) {
        (Type::Quantity, Value::String(a), Value::String(b)) => {
            a == b || matches!((Quantity::parse(a), Quantity::parse(b)), (Ok(a), Ok(b)) if a == b)
        }
        (Type::List(item), Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(item, a, b))
        }
        (Type::Map(item), Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal(item, a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (Type::Object(fields), Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| {
                let ty = fields.field(key).unwrap_or(&Type::Any);
                b.get(key).is_some_and(|b| equal(ty, a, b))
            };
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}
