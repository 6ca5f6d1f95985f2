//! What a DaemonSet waits for before it is started: the annotation `setlet.dev/after`, read.
//!
//! Only its form is known here, not whether anything of it is there. Kubernetes has nothing like it;
//! the closest is `After=` of systemd's units.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::ObjectKey;
use super::validate::{label, subdomain};

/// The annotation.
pub const ANNOTATION: &str = "setlet.dev/after";

/// The kinds of units that systemd can report as active.
const UNITS: [&str; 11] = [
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// Another DaemonSet has a ready pod on this node.
    Set(ObjectKey),
    /// Something is at this absolute path.
    Path(String),
    /// A unix socket at this absolute path accepts connections.
    Socket(String),
    /// systemd reports this unit as active.
    Unit(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(key) => write!(f, "{key}"),
            Self::Path(path) => write!(f, "path:{path}"),
            Self::Socket(path) => write!(f, "socket:{path}"),
            Self::Unit(name) => write!(f, "unit:{name}"),
        }
    }
}

/// Reads the annotation of the set `own`; a name without a namespace means the set's own. Each
/// condition is there once.
///
/// # Errors
/// What is wrong with each entry that cannot be read.
pub fn conditions(text: &str, own: &ObjectKey) -> Result<BTreeSet<Condition>, Vec<String>> {
    let mut found = BTreeSet::new();
    let mut wrong = Vec::new();
    if text.trim().is_empty() {
        return Ok(found);
    }
    for entry in text.split(',') {
        match condition(entry.trim(), own) {
            Ok(condition) => drop(found.insert(condition)),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

fn condition(entry: &str, own: &ObjectKey) -> Result<Condition, String> {
    match entry.split_once(':') {
        Some(("path", path)) => absolute(entry, path).map(Condition::Path),
        Some(("socket", path)) => absolute(entry, path).map(Condition::Socket),
        Some(("unit", name)) => unit(entry, name).map(Condition::Unit),
        Some((kind, _)) => Err(format!(
            "{entry:?}: there is no {kind:?} to wait for; use [NAMESPACE/]SET, path:/PATH, \
             socket:/PATH or unit:NAME"
        )),
        None => set(entry, own).map(Condition::Set),
    }
}

fn set(entry: &str, own: &ObjectKey) -> Result<ObjectKey, String> {
    if entry.is_empty() {
        return Err("there is an empty entry; remove the comma that is too much".to_owned());
    }
    let key = match entry.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new(&own.namespace, entry),
    };
    let wrong = label(&key.namespace).or_else(|| subdomain(&key.name));
    if let Some(why) = wrong {
        return Err(format!("{entry:?}: {why}"));
    }
    if key == *own {
        return Err(format!("{entry:?}: a set cannot wait for itself"));
    }
    Ok(key)
}

fn absolute(entry: &str, path: &str) -> Result<String, String> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(format!("{entry:?}: the path must be absolute"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("{entry:?}: the path must have no '..'"));
    }
    Ok(path.to_owned())
}

fn unit(entry: &str, name: &str) -> Result<String, String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    if stem.is_empty() || stem.starts_with('-') || name.len() > 255 || !name.chars().all(letter) {
        return Err(format!("{entry:?}: {name:?} is no name of a systemd unit"));
    }
    if !UNITS.contains(&kind) {
        return Err(format!(
            "{entry:?}: the unit's kind is missing, as in {name}.service"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Vec<String>> {
        let own = ObjectKey::new("team", "own");
        let conditions = conditions(text, &own)?;
        Ok(conditions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_kind_is_read_once() {
        let text = "kube-system/cni, path:/run/x,\n socket:/run/y.sock, unit:z.service, b, b";
        let all = [
            "kube-system/cni",
            "team/b",
            "path:/run/x",
            "socket:/run/y.sock",
            "unit:z.service",
        ];
        assert_eq!(read(text), Ok(all.map(str::to_owned).to_vec()));
        assert_eq!(read(" "), Ok(Vec::new()));
        assert_eq!(
            read("unit:dev-disk-by\\x2dlabel-x.device,unit:a@b:c.service").map(|all| all.len()),
            Ok(2)
        );
    }

    #[test]
    fn every_wrong_entry_is_named() {
        for (text, says) in [
            ("own", "cannot wait for itself"),
            ("team/own", "cannot wait for itself"),
            ("a,,b", "empty entry"),
            ("A", "no valid name"),
            ("a/b/c", "no valid name"),
            ("path:run/x", "must be absolute"),
            ("socket:", "must be absolute"),
            ("path:/run/../x", "no '..'"),
            ("file:/run/x", "there is no \"file\""),
            ("unit:docker", "as in docker.service"),
            ("unit:-x.service", "no name of a systemd unit"),
            ("unit:a b.service", "no name of a systemd unit"),
            ("unit:.service", "no name of a systemd unit"),
        ] {
            let wrong = read(text).expect_err(text);
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{wrong:?}");
        }
        let wrong = read("path:x, ok, unit:y").expect_err("two are wrong");
        assert_eq!(wrong.len(), 2);
    }
}
