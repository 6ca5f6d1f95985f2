//! What `/version` says: the Kubernetes version whose behaviour is followed, and this agent's.

use serde_json::{Value, json};

/// The minor version of Kubernetes whose behaviour is followed.
const MINOR: &str = "36";

/// A semantic version kubectl can read, with the agent's own in its build part.
pub(super) fn git_version() -> String {
    format!("v1.{MINOR}.0+setlet.{}", env!("CARGO_PKG_VERSION"))
}

/// The body of `/version`.
pub(super) fn version() -> Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": git_version(),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
