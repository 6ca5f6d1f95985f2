//! What differs between two configurations, and which of it takes effect at once.

use serde_yaml::Value;

use super::Config;

/// Fields whose change takes effect without a restart of the agent; everything below them too.
const LIVE: &[&str] = &[
    "nodeLabels",
    "nodeTaints",
    "manifests.rescanInterval",
    "manifests.allowUnprivilegedOwners",
    "shutdownGracePeriod",
    "rollback",
    "crashLoopBackOff",
    "containerLog",
    "reserved",
    "log",
];

/// Fields that this version does not follow, whenever they are set; everything below them too.
const UNFOLLOWED: &[&str] = &["kubernetes", "imageGC", "evictionHard"];

/// The changed fields that take effect at once, by path.
#[must_use]
pub fn live_changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = differences(old, new);
    changed.retain(|path| is_below(path, LIVE));
    changed
}

/// The changed fields that take effect only when the agent is started again, by path.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = differences(old, new);
    changed.retain(|path| !is_below(path, LIVE) && !is_below(path, UNFOLLOWED));
    changed
}

fn is_below(path: &str, fields: &[&str]) -> bool {
    fields.iter().any(|field| {
        path.strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn differences(old: &Config, new: &Config) -> Vec<String> {
    let value = |config| serde_yaml::to_value(config).expect("a configuration is plain data");
    let mut changed = Vec::new();
    collect("", Some(&value(old)), Some(&value(new)), &mut changed);
    changed
}

fn collect(path: &str, old: Option<&Value>, new: Option<&Value>, changed: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Some(Value::Mapping(old)), Some(Value::Mapping(new))) = (old, new) else {
        changed.push(path.to_owned());
        return;
    };
    let added = new.keys().filter(|key| !old.contains_key(key));
    for key in old.keys().chain(added) {
        let name = key.as_str().unwrap_or_default();
        let below = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        collect(&below, old.get(key), new.get(key), changed);
    }
}
