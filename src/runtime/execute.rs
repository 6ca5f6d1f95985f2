//! Carries out one action through CRI.
//!
//! Every action can be repeated: what is already there, or already gone, counts as done, so that a
//! call that was cut short by a lost connection or the agent's end does no harm. What the runtime
//! refuses becomes an [`Outcome::Failed`] in kubelet's words; nothing here waits or tries again.

mod ends;
mod made;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use tonic::{Code, Status};

use made::sandbox_config;

use super::cache::Details;
use super::error::{Error, is_connection_lost};
use super::{Runtime, cgroup, links, translate};
use crate::api::{ContainerName, PodKey};
use crate::blocking::{Lane, Progress};
use crate::cri;
use crate::model::{Action, ContainerId, DesiredPod, Outcome, Reason, SandboxState, StopTarget};

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

    /// Does what touches a pod's files, on a thread: they may lie on a mount that does not answer.
    async fn on_files<T: Send + 'static>(
        &self,
        pod: &Arc<DesiredPod>,
        work: impl FnOnce(&DesiredPod, &translate::Host, &Progress) -> Result<T, Reason>
        + Send
        + 'static,
    ) -> Result<T, Reason> {
        let (lane, host, pod) = (files_of(pod.key()), self.host(), Arc::clone(pod));
        let work = move |on: &Progress| work(&pod, &host, on);
        let done = self.inner.blocking.run(lane, work);
        done.await
            .unwrap_or_else(|why| Err(why.reason("CreateContainerConfigError")))
    }

    /// What the runtime is told of a pod's sandbox, with the directories it names made.
    pub(super) async fn sandbox_config(
        &self,
        pod: &Arc<DesiredPod>,
        attempt: u32,
    ) -> Result<cri::PodSandboxConfig, Reason> {
        let make = move |pod: &DesiredPod, host: &translate::Host, on: &Progress| {
            sandbox_config(pod, attempt, host, on)
        };
        self.on_files(pod, make).await
    }

    async fn run_sandbox(&self, pod: &Arc<DesiredPod>, attempt: u32) -> Result<Outcome, Stop> {
        let host = self.host();
        let config = self.sandbox_config(pod, attempt).await?;
        if pod.spec().host_network != Some(true)
            && let Some(reason) = self.network_trouble().await?
        {
            return Err(reason.into());
        }
        self.on_files(pod, made::bounded).await?;
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
        // The name is taken when an earlier call, cut short, was carried out after all. containerd 1.7
        // and later list a sandbox whose network could not be made as well, as not ready.
        let have = self.observe_pod(&pod.key().uid).await?;
        let runs = have.is_some_and(|p| {
            p.sandboxes
                .iter()
                .any(|s| s.attempt == attempt && s.state == SandboxState::Ready)
        });
        if runs {
            Ok(Outcome::Done)
        } else {
            Err(error.into())
        }
    }

    async fn create_container(&self, action: &Action) -> Result<Outcome, Stop> {
        let Action::CreateContainer {
            pod,
            sandbox,
            container,
            attempt,
            ..
        } = action
        else {
            return Ok(Outcome::Done);
        };
        let wanted = action.clone();
        let make = move |_: &DesiredPod, host: &translate::Host, on: &Progress| {
            made::container_config(&wanted, host, on)
        };
        let Some((sandbox_config, mut config)) = self.on_files(pod, make).await? else {
            return Ok(Outcome::Done);
        };
        self.resolve_mounted(&mut config.mounts).await?;
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
            (Some(link), Some(log)) => {
                let log = log.clone();
                self.on_log(id, move |on| links::make(&link, &log, on))
                    .await
                    .map_err(|e| e.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Does something with a container's log, on a thread.
    async fn on_log<T: Send + 'static>(
        &self,
        id: &ContainerId,
        work: impl FnOnce(&Progress) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let lane = format!("the log of container {id}");
        let done = self.inner.blocking.run(lane, work).await;
        done.unwrap_or_else(|why| Err(io::Error::other(why)))
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
                let removed = self.remove_files(id, &details).await;
                removed.map_err(|error| {
                    Reason::new("KillContainerError", format!("removing its log: {error}"))
                        .of_container(container.as_str())
                })?;
            }
            Err(error) => gone_is_done(error)?,
        }
        let client = &self.inner.client;
        let mut removed = client.remove_container(id).await;
        if (is_lost(&removed) && self.restore(id).await?)
            || (is_kept(&removed) && self.delete_left_task(id).await?)
        {
            removed = client.remove_container(id).await;
        }
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

    async fn remove_files(&self, id: &ContainerId, details: &Details) -> io::Result<()> {
        let (log, link) = (details.log_path.clone(), self.link(details));
        let host = self.host();
        let remove = move |on: &Progress| {
            if let Some(log) = &log {
                links::remove_log(log, &host.pod_logs, on)?;
            }
            link.map_or(Ok(()), |link| links::remove(&link))
        };
        self.on_log(id, remove).await
    }
}

/// The lane of the files that a pod has of its own.
#[must_use]
pub fn files_of(key: &PodKey) -> Lane {
    format!("the files of pod {key} ({})", key.uid).into()
}

/// Whether the runtime misses something of what it was to remove; that it was removed before is no
/// error to it.
fn is_lost(removed: &Result<(), Status>) -> bool {
    matches!(removed, Err(status) if status.code() == Code::NotFound)
}

/// Whether the runtime refuses to remove something, as it does while it has a task of it.
fn is_kept(removed: &Result<(), Status>) -> bool {
    matches!(removed, Err(status) if status.code() != Code::NotFound && !is_connection_lost(status))
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
