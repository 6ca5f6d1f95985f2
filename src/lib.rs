//! setlet: a per-node agent that runs DaemonSets through containerd, without a kubelet.

pub mod api;

/// The part of CRI v1 that is used, generated from `proto/cri.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
pub mod eligibility;
pub mod model;
pub mod runtime;
pub mod volume;
