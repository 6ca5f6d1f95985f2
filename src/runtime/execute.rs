//! Carries out one action through CRI.
//!
//! Every action can be repeated: what is already there, or already gone, counts as done, so that a
//! call that was cut short by a lost connection or the agent's end does no harm. What the runtime
//! refuses becomes an [`Outcome::Failed`] in kubelet's words; nothing here waits or tries again.

use std::io;
use std::path::PathBuf;

use futures_util::future::join_all;

use super::cache::Details;
use super::error::Error;
use super::{Runtime, cgroup, files, links, translate};
use crate::api::ContainerName;
use crate::cri;
use crate::model::{Action, ContainerId, DesiredPod, Outcome, Reason, SandboxId, StopTarget};

impl Runtime {
    pub(super) async fn execute_action(&self, action: &Action) -> Result<Outcome, Error> {
        let outcome = match action {
            Action::PrepareVolumes { .. }
            | Action::CheckPorts { .. }
            | Action::RunPostStart { .. }
            | Action::Teardown { .. } => {
                return Err(Error::NotRuntime {
                    action: action.to_string(),
                });
            }
            Action::EnsureImage {
                pod, image, policy, ..
            } => {
                return self.ensure_image(pod, image, policy).await;
            }
            Action::RecheckImage { pod, image } => {
                return self.ensure_image(pod, image, "Always").await;
            }
            Action::RunSandbox { pod, attempt } => self.run_sandbox(pod, *attempt).await,
            Action::CreateContainer { .. } => self.create_container(action).await,
            Action::StartContainer { id, container } => self.start_container(id, container).await,
            Action::UpdateResources { pod, id, container } => {
                self.update_resources(pod, id, container).await
            }
            Action::StopContainers { targets } => self.stop_containers(targets).await,
            Action::RemoveContainer { id, container } => self.remove_container(id, container).await,
            Action::StopSandbox { id } => self.stop_sandbox(id).await,
            Action::RemoveSandbox { id, ends } => {
                let removed = self.remove_sandbox(id).await;
                if let (Some(uid), Err(Stop::Error(error))) = (ends, &removed)
                    && !error.is_connection_lost()
                {
                    // containerd refuses as long as a process runs that it takes for ended, as when
                    // its start was cut off; the next try finds it gone.
                    cgroup::kill_lost(uid, &self.host());
                }
                removed
            }
        };
        outcome.or_else(Stop::into_outcome)
    }

    async fn run_sandbox(&self, pod: &DesiredPod, attempt: u32) -> Result<Outcome, Stop> {
        let host = self.host();
        let config = sandbox_config(pod, attempt, &host)?;
        cgroup::prepare(pod, &host)?;
        let Err(source) = self.inner.client.run_sandbox(config).await else {
            if host.cgroup_driver == cri::CgroupDriver::Systemd {
                // Only now has systemd made the pod's slice.
                cgroup::prepare(pod, &host)?;
            }
            return Ok(Outcome::Done);
        };
        let error = Error::RunSandbox {
            pod: pod.key().to_string(),
            source,
        };
        if error.is_connection_lost() {
            return Err(error.into());
        }
        // The name is taken when an earlier call, cut short, was carried out after all.
        let have = self.observe_pod(&pod.key().uid).await?;
        let exists = have.is_some_and(|p| p.sandboxes.iter().any(|s| s.attempt == attempt));
        if exists {
            Ok(Outcome::Done)
        } else {
            Err(error.into())
        }
    }

    async fn create_container(&self, action: &Action) -> Result<Outcome, Stop> {
        let Action::CreateContainer {
            pod,
            sandbox,
            sandbox_attempt,
            ips,
            container,
            attempt,
            backoff_level,
            image,
            volumes,
        } = action
        else {
            return Ok(Outcome::Done);
        };
        let host = self.host();
        let input = translate::ContainerInput {
            container,
            attempt: *attempt,
            backoff_level: *backoff_level,
            image,
            volumes,
            ips,
        };
        let sandbox_config = sandbox_config(pod, *sandbox_attempt, &host)?;
        // Again, for what systemd made only with the sandbox: no container runs unbounded.
        cgroup::prepare(pod, &host)?;
        let own = files::prepare_container(pod, &input, &host)?;
        let config = translate::container(pod, &input, &own, &host)?;
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.0.clone(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let source = match self.inner.client.create_container(request).await {
            Ok(id) => return Ok(Outcome::Created(id)),
            Err(source) => source,
        };
        let error = Error::CreateContainer {
            pod: pod.key().to_string(),
            container: container.clone(),
            source,
        };
        if error.is_connection_lost() {
            return Err(error.into());
        }
        // As for sandboxes: an earlier call may have been carried out after all.
        let have = self.observe_pod(&pod.key().uid).await?;
        let made = have.and_then(|p| {
            p.containers
                .into_iter()
                .find(|c| c.name == *container && c.attempt == *attempt && c.sandbox == *sandbox)
        });
        match made {
            Some(made) => Ok(Outcome::Created(made.id)),
            None => Err(error.into()),
        }
    }

    async fn start_container(
        &self,
        id: &ContainerId,
        container: &ContainerName,
    ) -> Result<Outcome, Stop> {
        let started = self.inner.client.start_container(id).await;
        started.map_err(|source| Error::StartContainer {
            id: id.clone(),
            container: container.clone(),
            source,
        })?;
        // The container runs, whatever becomes of the link to its log.
        if let Err(error) = self.link_log(id).await {
            tracing::warn!(container = %id, error, "no link to the container's log");
        }
        Ok(Outcome::Done)
    }

    /// The pod's bounds first, so that what the container may use is never more than they are.
    async fn update_resources(
        &self,
        pod: &DesiredPod,
        id: &ContainerId,
        container: &ContainerName,
    ) -> Result<Outcome, Stop> {
        let host = self.host();
        cgroup::prepare(pod, &host)?;
        let Some(spec) = pod.container(container) else {
            return Ok(Outcome::Done);
        };
        let resources = translate::linux::container_resources(pod.spec(), spec, &host);
        let updated = self.inner.client.update_resources(id, resources).await;
        if let Err(source) = updated {
            gone_is_done(Error::UpdateResources {
                container: container.clone(),
                source,
            })?;
        }
        Ok(Outcome::Done)
    }

    /// Makes the link to a container's log; what it reads for that, the next observation need not.
    async fn link_log(&self, id: &ContainerId) -> Result<(), String> {
        let details = self.read_details(id).await.map_err(|e| e.line())?;
        match (self.link(&details), &details.log_path) {
            (Some(link), Some(log)) => links::make(&link, log).map_err(|e| e.to_string()),
            _ => Ok(()),
        }
    }

    fn link(&self, details: &Details) -> Option<PathBuf> {
        let name = details.link_name.as_ref()?;
        Some(self.inner.container_logs.join(name))
    }

    /// Hooks are not run here: they have been by now.
    async fn stop_containers(&self, targets: &[StopTarget]) -> Result<Outcome, Stop> {
        let stops = targets.iter().map(|target| self.stop_container(target));
        // All are waited for, also when one fails: each stop is under way in any case.
        let results = join_all(stops).await;
        results.into_iter().collect::<Result<(), _>>()?;
        Ok(Outcome::Done)
    }

    async fn stop_container(&self, target: &StopTarget) -> Result<(), Error> {
        let stopped = self.inner.client.stop_container(&target.id, target.timeout);
        match stopped.await {
            Ok(()) => Ok(()),
            Err(source) => gone_is_done(Error::StopContainer {
                id: target.id.clone(),
                container: target.name.clone(),
                source,
            }),
        }
    }

    async fn remove_container(
        &self,
        id: &ContainerId,
        container: &ContainerName,
    ) -> Result<Outcome, Stop> {
        // The files go first: only while the container is there is it known which they are.
        match self.any_details(id).await {
            Ok(details) => {
                let removed = self.remove_files(&details);
                removed.map_err(|error| {
                    Reason::new("KillContainerError", format!("removing its log: {error}"))
                        .of_container(container.as_str())
                })?;
            }
            Err(error) => gone_is_done(error)?,
        }
        let removed = self.inner.client.remove_container(id).await;
        if let Err(source) = removed {
            gone_is_done(Error::RemoveContainer {
                id: id.clone(),
                container: container.clone(),
                source,
            })?;
        }
        self.inner.cache.forget(id);
        Ok(Outcome::Done)
    }

    fn remove_files(&self, details: &Details) -> io::Result<()> {
        if let Some(log) = &details.log_path {
            links::remove_log(log, &self.host().pod_logs)?;
        }
        match self.link(details) {
            Some(link) => links::remove(&link),
            None => Ok(()),
        }
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<Outcome, Stop> {
        if let Err(source) = self.inner.client.stop_sandbox(id).await {
            gone_is_done(Error::StopSandbox {
                sandbox: id.clone(),
                source,
            })?;
        }
        Ok(Outcome::Done)
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<Outcome, Stop> {
        if let Err(source) = self.inner.client.remove_sandbox(id).await {
            gone_is_done(Error::RemoveSandbox {
                sandbox: id.clone(),
                source,
            })?;
        }
        Ok(Outcome::Done)
    }
}

/// What the runtime is told of a pod's sandbox, with the directories it names made.
pub(super) fn sandbox_config(
    pod: &DesiredPod,
    attempt: u32,
    host: &translate::Host,
) -> Result<cri::PodSandboxConfig, Reason> {
    let own = files::prepare_pod(pod, host)?;
    translate::sandbox(pod, attempt, &own, host)
}

fn gone_is_done(error: Error) -> Result<(), Error> {
    if error.is_not_found() {
        Ok(())
    } else {
        Err(error)
    }
}

/// Why an action ended early: the runtime's error, or a reason found before it was asked.
enum Stop {
    Error(Error),
    Reason(Reason),
}

impl Stop {
    fn into_outcome(self) -> Result<Outcome, Error> {
        match self {
            Self::Reason(reason) => Ok(Outcome::Failed(reason)),
            Self::Error(error) if error.is_connection_lost() => Err(error),
            Self::Error(error) => Ok(Outcome::Failed(error.reason())),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}
