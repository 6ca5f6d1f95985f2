//! Whether an old and a new pod of a set can be beside each other, as a surge wants it.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::core::v1::PodSpec;

use super::ports;
use crate::model::{HostPort, Reason};

/// What two pods both want for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clash {
    /// A port of the host.
    Port(HostPort),
    /// A block device, by its path: two that write to it destroy what is on it. Other host paths are
    /// shared, as Kubernetes shares them.
    Device(String),
}

impl Clash {
    /// The reason's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Port(_) => HostPort::CONFLICT,
            Self::Device(_) => Reason::HOST_PATH_CONFLICT,
        }
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "both have host port {port}"),
            Self::Device(path) => write!(f, "both write to block device {path}"),
        }
    }
}

/// The first thing that both pods want for themselves.
#[must_use]
pub fn clash(one: &PodSpec, other: &PodSpec) -> Option<Clash> {
    if let Some(port) = ports::clash(one, other) {
        return Some(Clash::Port(port));
    }
    let taken = devices(other);
    let shared = devices(one).into_iter().find(|path| taken.contains(path));
    shared.map(|path| Clash::Device(path.to_owned()))
}

/// The host paths of type BlockDevice that a container of the pod may write to.
fn devices(spec: &PodSpec) -> BTreeSet<&str> {
    let containers = spec.init_containers.iter().flatten();
    let mounts = containers
        .chain(&spec.containers)
        .flat_map(|container| container.volume_mounts.iter().flatten());
    let written: BTreeSet<_> = mounts
        .filter(|mount| mount.read_only != Some(true))
        .map(|mount| mount.name.as_str())
        .collect();
    let volumes = spec.volumes.iter().flatten();
    let devices = volumes.filter(|volume| written.contains(volume.name.as_str()));
    devices
        .filter_map(|volume| volume.host_path.as_ref())
        .filter(|host_path| host_path.type_.as_deref() == Some("BlockDevice"))
        .map(|host_path| host_path.path.trim_end_matches('/'))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(path: &str, kind: &str, read_only: bool) -> PodSpec {
        let spec = json!({
            "containers": [{"name": "c", "ports": [{"containerPort": 1}],
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": read_only}]}],
            "volumes": [{"name": "v", "hostPath": {"path": path, "type": kind}}],
        });
        serde_json::from_value(spec).expect("a specification")
    }

    #[test]
    fn block_devices_that_both_write_to_clash_and_other_paths_do_not() {
        let disk = pod("/dev/sdb", "BlockDevice", false);
        let said =
            |one: &PodSpec, other: &PodSpec| clash(one, other).map(|clash| clash.to_string());
        let both = "both write to block device /dev/sdb";
        assert_eq!(said(&disk, &disk).as_deref(), Some(both));
        assert_eq!(
            said(&disk, &pod("/dev/sdb/", "BlockDevice", false)).as_deref(),
            Some(both)
        );
        for other in [
            pod("/dev/sdc", "BlockDevice", false),
            pod("/dev/sdb", "BlockDevice", true),
        ] {
            assert_eq!(said(&disk, &other), None);
        }
        let log = pod("/var/log", "Directory", false);
        assert_eq!(said(&log, &log), None);
    }
}
