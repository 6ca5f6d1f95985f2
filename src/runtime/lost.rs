//! Containers whose record was taken out of containerd behind the back of its CRI (`ctr containers rm`).
//!
//! CRI still lists such a container, and can remove neither it nor its sandbox: it asks containerd for
//! the record first and hands on that there is none (`RemoveContainer`, containerd 1.6 to 2.x). Of what
//! CRI itself does not know it says that it is removed, so "not found" means this and nothing else. The
//! way out is an empty record in its place, which the next call removes as any other.

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, GetContainerRequest, container,
};
use tonic::{Code, Status};
use tracing::warn;

use super::Runtime;
use super::containerd::{self, in_namespace};
use super::error::Error;
use crate::cri;
use crate::model::{ContainerId, SandboxId};

/// The runtime that CRI uses; nothing is ever run of the record.
const RUNTIME: &str = "io.containerd.runc.v2";
/// What containerd wants to be told that a specification is one.
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

impl Runtime {
    /// Makes the records that are missing of a sandbox's containers; false where none is.
    pub(super) async fn restore_all(&self, sandbox: &SandboxId) -> Result<bool, Error> {
        let listed = self.inner.client.list_containers(cri::ContainerFilter {
            pod_sandbox_id: sandbox.0.clone(),
            label_selector: self.selector(),
            ..Default::default()
        });
        let mut restored = false;
        for listed in listed.await? {
            if listed.pod_sandbox_id == sandbox.0 {
                restored |= self.restore(&ContainerId(listed.id)).await?;
            }
        }
        Ok(restored)
    }

    /// Makes the record of a container that CRI lists, where it is missing; false where it is not.
    pub(super) async fn restore(&self, id: &ContainerId) -> Result<bool, Error> {
        let client = &self.inner.client;
        if !containerd::is(&client.version().await?.runtime_name) {
            return Ok(false);
        }
        let mut containers = ContainersClient::new(client.channel());
        let of = |source: Status| Error::ContainerStatus {
            container: id.clone(),
            source,
        };
        let get = GetContainerRequest { id: id.0.clone() };
        match containers.get(in_namespace(get)).await {
            Ok(_) => return Ok(false),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(of(status)),
        }
        let record = Container {
            id: id.0.clone(),
            runtime: Some(container::Runtime {
                name: RUNTIME.to_owned(),
                options: None,
            }),
            spec: Some(prost_types::Any {
                type_url: SPEC.to_owned(),
                value: b"{}".to_vec(),
            }),
            ..Default::default()
        };
        let create = CreateContainerRequest {
            container: Some(record),
        };
        containers.create(in_namespace(create)).await.map_err(of)?;
        warn!(container = %id, "containerd had lost its record; it is removed by an empty one");
        Ok(true)
    }
}
