//! Merging of layers: maps merge deeply, lists and scalars replace, null goes back to the default.

use serde_yaml::Value;

/// Every default, in one table.
pub(super) const DEFAULTS: &str = include_str!("defaults.yaml");

/// The layers, in order, over the defaults.
pub(super) fn over_defaults<'a>(layers: impl Iterator<Item = &'a Value>) -> Value {
    let defaults: Value =
        serde_yaml::from_str(DEFAULTS).expect("the table of defaults is YAML: a test reads it");
    let mut merged = defaults.clone();
    // An empty file says nothing, not that everything is null.
    for layer in layers.filter(|layer| !layer.is_null()) {
        merge(&mut merged, layer, Some(&defaults));
    }
    merged
}

fn merge(base: &mut Value, over: &Value, default: Option<&Value>) {
    match (base, over) {
        (base, Value::Null) => *base = default.cloned().unwrap_or(Value::Null),
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, value) in over {
                let default = default.and_then(|d| d.get(key));
                if value.is_null() && default.is_none() {
                    base.remove(key);
                } else if let Some(slot) = base.get_mut(key) {
                    merge(slot, value, default);
                } else {
                    base.insert(key.clone(), value.clone());
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}
