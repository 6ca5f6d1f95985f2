//! What containerd's own services need beside CRI: its namespace on every request.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{Image, UpdateImageRequest};
use containerd_client::types::Descriptor;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// How long containerd may take for one answer.
const ANSWER: Duration = Duration::from_secs(120);

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

/// An answer, which does not take for ever.
pub(super) async fn answer<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    answer_within(ANSWER, call).await
}

/// An answer that may take so long.
pub(super) async fn answer_within<T>(
    time: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(time, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded("no answer")),
    }
}

/// Changes these labels of an image; an empty value takes one away.
pub(super) async fn label_image(
    images: &mut ImagesClient<Channel>,
    name: &str,
    labels: HashMap<String, String>,
) -> Result<(), Status> {
    let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
    let request = UpdateImageRequest {
        image: Some(Image {
            name: name.to_owned(),
            labels,
            // Not changed, for it is not in the mask; but containerd from 1.7 on ends with a panic
            // when it is absent.
            target: Some(Descriptor::default()),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    answer(images.update(in_namespace(request))).await.map(drop)
}

/// Whether a runtime that calls itself this has these services.
pub(super) fn is(runtime_name: &str) -> bool {
    runtime_name == "containerd"
}
