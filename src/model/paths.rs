//! Where a pod's files lie on the host, said once for those who make them and those who take them
//! away.

use std::path::{Path, PathBuf};

use crate::api::PodKey;

/// The directory of everything that is made for a pod but its logs: `UID`.
#[must_use]
pub fn pod_directory(key: &PodKey, pods_root: &Path) -> PathBuf {
    pods_root.join(key.uid.as_str())
}

/// The directory of a pod's logs: `NAMESPACE_POD_UID`.
#[must_use]
pub fn log_directory(key: &PodKey, pod_logs: &Path) -> PathBuf {
    pod_logs.join(format!("{}_{}_{}", key.namespace, key.name, key.uid))
}
