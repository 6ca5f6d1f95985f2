//! Tasks that containerd keeps of a container which its CRI takes for ended.
//!
//! Where a start or a stop is cut off, CRI 1.6 may note that a container has exited and leave its task
//! behind. From then on it refuses to remove the container ("cannot delete running task"), and never
//! looks at the task again before containerd restarts. The way out is to delete the task through
//! containerd's own service.

use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{DeleteTaskRequest, GetRequest, KillRequest};
use containerd_client::types::v1::Status as TaskStatus;
use nix::sys::signal::Signal;
use tonic::{Code, Status};
use tracing::warn;

use super::Runtime;
use super::containerd::{self, answer, in_namespace};
use super::error::Error;
use crate::cri;
use crate::model::{ContainerId, SandboxId};

impl Runtime {
    /// Deletes the tasks that are left of a sandbox's ended containers; false where none was.
    pub(super) async fn delete_left_tasks(&self, sandbox: &SandboxId) -> Result<bool, Error> {
        let filter = cri::ContainerFilter {
            pod_sandbox_id: sandbox.0.clone(),
            label_selector: self.selector(),
            ..Default::default()
        };
        let mut deleted = false;
        for listed in self.inner.client.list_containers(filter).await? {
            if listed.state != cri::ContainerState::ContainerRunning as i32 {
                deleted |= self.delete_left_task(&ContainerId(listed.id)).await?;
            }
        }
        Ok(deleted)
    }

    /// Deletes the task that is left of a container which CRI takes for ended; false where there is none.
    pub(super) async fn delete_left_task(&self, id: &ContainerId) -> Result<bool, Error> {
        let client = &self.inner.client;
        if !containerd::is(&client.version().await?.runtime_name) {
            return Ok(false);
        }
        let of = |source: Status| Error::ContainerStatus {
            container: id.clone(),
            source,
        };
        let mut tasks = TasksClient::new(client.channel());
        let get = GetRequest {
            container_id: id.0.clone(),
            ..Default::default()
        };
        let process = match answer(tasks.get(in_namespace(get))).await {
            Ok(found) => found.into_inner().process.unwrap_or_default(),
            Err(status) if status.code() == Code::NotFound => return Ok(false),
            Err(status) => return Err(of(status)),
        };
        if process.status != TaskStatus::Stopped as i32 {
            let kill = KillRequest {
                container_id: id.0.clone(),
                signal: Signal::SIGKILL as u32,
                all: true,
                ..Default::default()
            };
            // A task that ends meanwhile is as good. One that is still ending is deleted at the next try.
            answer(tasks.kill(in_namespace(kill))).await.ok();
        }
        let delete = DeleteTaskRequest {
            container_id: id.0.clone(),
        };
        match answer(tasks.delete(in_namespace(delete))).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(of(status)),
        }
        warn!(container = %id, "containerd kept its task after its end; the task is deleted");
        Ok(true)
    }
}
