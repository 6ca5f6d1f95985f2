//! What containerd's own services need beside CRI: its namespace on every request.

use tonic::Request;
use tonic::metadata::MetadataValue;

/// The containerd namespace that its CRI keeps everything in.
pub(super) const NAMESPACE: &str = "k8s.io";

/// A request in CRI's namespace.
pub(super) fn in_namespace<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(
        "containerd-namespace",
        MetadataValue::from_static(NAMESPACE),
    );
    request
}

/// Whether a runtime that calls itself this has these services.
pub(super) fn is(runtime_name: &str) -> bool {
    runtime_name == "containerd"
}
