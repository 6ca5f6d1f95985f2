//! One method a call of CRI, each with its deadline and what it was about in its error.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Response, Status};

use super::{Client, whole_seconds, within};
use crate::cri;
use crate::model::{ContainerId, SandboxId};
use crate::runtime::error::Error;
use crate::runtime::streaming::Exec;

impl Client {
    pub(in crate::runtime) async fn list_sandboxes(
        &self,
        filter: cri::PodSandboxFilter,
    ) -> Result<Vec<cri::PodSandbox>, Error> {
        let request = cri::ListPodSandboxRequest {
            filter: Some(filter),
        };
        within(
            self.deadlines.list(),
            self.runtime.clone().list_pod_sandbox(request),
        )
        .await
        .map(|answer| answer.items)
        .map_err(Error::ListSandboxes)
    }

    pub(in crate::runtime) async fn list_containers(
        &self,
        filter: cri::ContainerFilter,
    ) -> Result<Vec<cri::Container>, Error> {
        let request = cri::ListContainersRequest {
            filter: Some(filter),
        };
        within(
            self.deadlines.list(),
            self.runtime.clone().list_containers(request),
        )
        .await
        .map(|answer| answer.containers)
        .map_err(Error::ListContainers)
    }

    pub(in crate::runtime) async fn sandbox_status(
        &self,
        sandbox: &SandboxId,
    ) -> Result<cri::PodSandboxStatus, Error> {
        let answer = self.ask_sandbox_status(sandbox, false).await?;
        Ok(answer.status.unwrap_or_default())
    }

    /// What the runtime tells of a sandbox beside CRI.
    pub(in crate::runtime) async fn sandbox_info(
        &self,
        sandbox: &SandboxId,
    ) -> Result<HashMap<String, String>, Error> {
        Ok(self.ask_sandbox_status(sandbox, true).await?.info)
    }

    async fn ask_sandbox_status(
        &self,
        sandbox: &SandboxId,
        verbose: bool,
    ) -> Result<cri::PodSandboxStatusResponse, Error> {
        let request = cri::PodSandboxStatusRequest {
            pod_sandbox_id: sandbox.0.clone(),
            verbose,
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().pod_sandbox_status(request),
        )
        .await
        .map_err(|source| Error::SandboxStatus {
            sandbox: sandbox.clone(),
            source,
        })
    }

    pub(in crate::runtime) async fn container_status(
        &self,
        container: &ContainerId,
    ) -> Result<cri::ContainerStatus, Error> {
        let request = cri::ContainerStatusRequest {
            container_id: container.0.clone(),
            verbose: false,
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().container_status(request),
        )
        .await
        .map(|answer| answer.status.unwrap_or_default())
        .map_err(|source| Error::ContainerStatus {
            container: container.clone(),
            source,
        })
    }

    pub(in crate::runtime) async fn run_sandbox(
        &self,
        config: cri::PodSandboxConfig,
    ) -> Result<SandboxId, Status> {
        let request = cri::RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: String::new(),
        };
        within(
            self.deadlines.run_sandbox(),
            self.runtime.clone().run_pod_sandbox(request),
        )
        .await
        .map(|answer| SandboxId(answer.pod_sandbox_id))
    }

    pub(in crate::runtime) async fn stop_sandbox(&self, sandbox: &SandboxId) -> Result<(), Status> {
        let request = cri::StopPodSandboxRequest {
            pod_sandbox_id: sandbox.0.clone(),
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().stop_pod_sandbox(request),
        )
        .await
        .map(drop)
    }

    pub(in crate::runtime) async fn remove_sandbox(
        &self,
        sandbox: &SandboxId,
    ) -> Result<(), Status> {
        let request = cri::RemovePodSandboxRequest {
            pod_sandbox_id: sandbox.0.clone(),
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().remove_pod_sandbox(request),
        )
        .await
        .map(drop)
    }

    pub(in crate::runtime) async fn create_container(
        &self,
        request: cri::CreateContainerRequest,
    ) -> Result<ContainerId, Status> {
        within(
            self.deadlines.call(),
            self.runtime.clone().create_container(request),
        )
        .await
        .map(|answer| ContainerId(answer.container_id))
    }

    pub(in crate::runtime) async fn start_container(
        &self,
        container: &ContainerId,
    ) -> Result<(), Status> {
        let request = cri::StartContainerRequest {
            container_id: container.0.clone(),
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().start_container(request),
        )
        .await
        .map(drop)
    }

    /// The timeout is sent in whole seconds, rounded up.
    pub(in crate::runtime) async fn stop_container(
        &self,
        container: &ContainerId,
        timeout: Duration,
    ) -> Result<(), Status> {
        let request = cri::StopContainerRequest {
            container_id: container.0.clone(),
            timeout: whole_seconds(timeout),
        };
        within(
            self.deadlines.beyond(timeout),
            self.runtime.clone().stop_container(request),
        )
        .await
        .map(drop)
    }

    pub(in crate::runtime) async fn remove_container(
        &self,
        container: &ContainerId,
    ) -> Result<(), Status> {
        let request = cri::RemoveContainerRequest {
            container_id: container.0.clone(),
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().remove_container(request),
        )
        .await
        .map(drop)
    }

    pub(in crate::runtime) async fn update_resources(
        &self,
        container: &ContainerId,
        resources: cri::LinuxContainerResources,
    ) -> Result<(), Status> {
        let request = cri::UpdateContainerResourcesRequest {
            container_id: container.0.clone(),
            linux: Some(resources),
            ..Default::default()
        };
        within(
            self.deadlines.call(),
            self.runtime.clone().update_container_resources(request),
        )
        .await
        .map(drop)
    }

    /// Makes the runtime open a container's log anew, at the path it was made with.
    pub(in crate::runtime) async fn reopen_log(
        &self,
        container: &ContainerId,
    ) -> Result<(), Error> {
        let request = cri::ReopenContainerLogRequest {
            container_id: container.0.clone(),
        };
        within(
            self.deadlines.list(),
            self.runtime.clone().reopen_container_log(request),
        )
        .await
        .map(drop)
        .map_err(|source| Error::ReopenLog {
            container: container.clone(),
            source,
        })
    }

    /// Runs a command; a timeout of zero is none, and no deadline either: dropping the future then
    /// ends the command.
    pub(in crate::runtime) async fn exec_sync(
        &self,
        container: &ContainerId,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, Error> {
        let request = cri::ExecSyncRequest {
            container_id: container.0.clone(),
            cmd: command,
            timeout: whole_seconds(timeout),
        };
        let deadline = if timeout.is_zero() {
            Duration::MAX
        } else {
            self.deadlines.beyond(timeout)
        };
        within(deadline, self.runtime.clone().exec_sync(request))
            .await
            .map_err(|source| Error::ExecSync {
                container: container.clone(),
                source,
            })
    }

    /// Prepares a command; returns the address of the runtime's streaming server at which it is
    /// started. The address has a token in it that whoever knows can use once.
    pub(in crate::runtime) async fn exec(
        &self,
        container: &ContainerId,
        exec: &Exec,
    ) -> Result<String, Error> {
        let request = cri::ExecRequest {
            container_id: container.0.clone(),
            cmd: exec.command.clone(),
            tty: exec.tty,
            stdin: exec.stdin,
            stdout: exec.stdout,
            stderr: exec.stderr,
        };
        within(self.deadlines.call(), self.runtime.clone().exec(request))
            .await
            .map(|answer| answer.url)
            .map_err(|source| Error::Exec {
                container: container.clone(),
                source,
            })
    }

    pub(in crate::runtime) async fn image_status(
        &self,
        image: &str,
    ) -> Result<Option<cri::Image>, Error> {
        let request = cri::ImageStatusRequest {
            image: Some(image_spec(image)),
            verbose: false,
        };
        within(
            self.deadlines.call(),
            self.images.clone().image_status(request),
        )
        .await
        .map(|answer| answer.image)
        .map_err(|source| Error::ImageStatus {
            image: image.to_owned(),
            source,
        })
    }

    /// The snapshotter that containers' root file systems come from; none where the runtime is
    /// another than containerd, which names the snapshotter's directory by its plugin.
    pub(in crate::runtime) async fn snapshotter(&self) -> Result<Option<String>, Status> {
        const PLUGIN: &str = "io.containerd.snapshotter.v1.";
        let request = cri::ImageFsInfoRequest {};
        let answer = within(
            self.deadlines.call(),
            self.images.clone().image_fs_info(request),
        )
        .await?;
        let filesystems = answer.image_filesystems.into_iter();
        let paths = filesystems.filter_map(|filesystem| filesystem.fs_id);
        let mut names: Vec<String> = paths
            .filter_map(|id| Some(id.mountpoint.rsplit_once(PLUGIN)?.1.to_owned()))
            .collect();
        // Where runtime handlers have their own, containerd's default is that of the default one.
        names.sort_by_key(|name| name != "overlayfs");
        Ok(names.into_iter().next())
    }

    /// Pulls an image and returns its reference; dropping the future ends the pull.
    pub(in crate::runtime) async fn pull_image(
        &self,
        image: &str,
        auth: Option<cri::AuthConfig>,
        sandbox_config: Option<cri::PodSandboxConfig>,
    ) -> Result<String, Error> {
        let request = cri::PullImageRequest {
            image: Some(image_spec(image)),
            auth,
            sandbox_config,
        };
        self.images
            .clone()
            .pull_image(request)
            .await
            .map(|answer| answer.into_inner().image_ref)
            .map_err(|source| Error::PullImage {
                image: image.to_owned(),
                source,
            })
    }

    /// CRI's own events; the stream has no end and no deadline.
    pub(in crate::runtime) async fn container_events(
        &self,
    ) -> Result<tonic::Streaming<cri::ContainerEventResponse>, Error> {
        self.runtime
            .clone()
            .get_container_events(cri::GetEventsRequest {})
            .await
            .map(Response::into_inner)
            .map_err(Error::Events)
    }
}

fn image_spec(image: &str) -> cri::ImageSpec {
    cri::ImageSpec {
        image: image.to_owned(),
        ..Default::default()
    }
}
