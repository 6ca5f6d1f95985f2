//! Derives what Kubernetes shows: Pod, DaemonSet and Node objects with their statuses.
//!
//! Pure: facts and plans go in, objects come out, at the moment `now`. Nothing is stored and edited,
//! so a status cannot disagree with the facts for longer than it takes to ask again. It follows
//! kubelet v1.36 (`pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status/generate.go`) and the
//! DaemonSet controller (`pkg/controller/daemon/daemon_controller.go`).

mod age;
mod conditions;
mod container;
mod daemonset;
pub mod events;
mod node;
mod phase;
mod pod;
mod shown;
#[cfg(test)]
pub(crate) mod tests;

pub use age::{human_age, human_duration};
pub use daemonset::{daemonset, daemonset_status, ready_since};
pub use node::node;
pub use pod::{pod, pod_status};
pub use shown::{shown, shown_events};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A moment as Kubernetes objects carry it: whole seconds.
#[must_use]
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
