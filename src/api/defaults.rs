//! What kube-apiserver v1.36 fills in where a manifest says nothing, on decoded values.

use serde_json::{Map, Value};

use super::{Kind, Ownership};

/// Fills in the defaults of an object of this kind.
pub(super) fn apply(kind: Kind, object: &mut Map<String, Value>, ownership: Ownership) {
    let _ = (kind, ownership);
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata
            .entry("namespace")
            .or_insert_with(|| Value::from("default"));
    }
}
