//! Hooks as part of an action: `postStart` at least once, `preStop` inside the grace period.
//!
//! That a `postStart` hook has succeeded is a file in the pod's own directory, `hooks/` and the
//! container's id, which goes with the pod: an agent that was killed runs the hook of a container
//! without it again. A `preStop` hook is cut when the grace period is over, and the container is
//! stopped whatever came of it. Follows `executePreStopHook` and `killContainer` of kubelet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use tracing::warn;

use super::hands::Hands;
use crate::api::{ContainerName, PodKey};
use crate::blocking::Progress;
use crate::model::paths::pod_directory;
use crate::model::{Action, Check, ContainerId, Outcome, Reason, StopKind, StopTarget};
use crate::probe::run_hook;
use crate::runtime::{Cri, Error, files_of};

/// The least a container is given between SIGTERM and SIGKILL.
const SHORTEST: Duration = Duration::from_secs(2);

impl Hands {
    /// Runs a `postStart` hook, unless it has succeeded before.
    pub(super) async fn post_start(
        &self,
        key: &PodKey,
        id: &ContainerId,
        container: &ContainerName,
        hook: &Check,
    ) -> Outcome {
        let mark = self.mark(key, id);
        let look = mark.clone();
        match self.on_files(key, move |_| look.try_exists()).await {
            Ok(true) => return Outcome::Done,
            Ok(false) => {}
            // The hook would be run again although it may have succeeded.
            Err(error) => {
                let message = format!("cannot look for {}: {error}", mark.display());
                return Outcome::Failed(
                    Reason::new("PostStartHookError", message).of_container(container.as_str()),
                );
            }
        }
        match run_hook(&self.runtime, &self.node_address(), id, hook).await {
            Ok(()) => {
                if let Err(error) = self.on_files(key, move |on| leave(&mark, on)).await {
                    warn!(pod = %key, %container, %error, "the postStart hook may be run again");
                }
                Outcome::Done
            }
            Err(why) => {
                let message = format!("postStart hook of container {container:?} failed: {why}");
                Outcome::Failed(
                    Reason::new("PostStartHookError", message).of_container(container.as_str()),
                )
            }
        }
    }

    /// Does something with the pod's own files, on a thread.
    async fn on_files<T: Send + 'static>(
        &self,
        key: &PodKey,
        work: impl FnOnce(&Progress) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let done = self.blocking.run(files_of(key), work).await;
        done.unwrap_or_else(|why| Err(io::Error::other(why)))
    }

    /// Where a container's success is marked.
    fn mark(&self, key: &PodKey, id: &ContainerId) -> PathBuf {
        let pod = pod_directory(key, &self.places.pods_root);
        pod.join("hooks").join(&id.0)
    }

    /// Stops containers at the same time, each after its hook.
    pub(super) async fn stop(&self, targets: &[StopTarget]) -> Result<Outcome, Error> {
        let stops = targets.iter().map(|target| self.stop_one(target));
        let mut unhooked = Vec::new();
        let mut worst = None;
        for outcome in join_all(stops).await {
            match outcome {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Stopped(names)) => unhooked.extend(names),
                Ok(failed) => worst = worst.or(Some(Ok(failed))),
                Err(error) => worst = Some(Err(error)),
            }
        }
        worst.unwrap_or(Ok(Outcome::Stopped(unhooked)))
    }

    async fn stop_one(&self, target: &StopTarget) -> Result<Outcome, Error> {
        let (took, failed) = match &target.hook {
            Some(hook) => self.pre_stop(target, hook).await,
            None => (Duration::ZERO, false),
        };
        let unhooked =
            || Outcome::Stopped(failed.then(|| target.name.clone()).into_iter().collect());
        if target.kind == StopKind::HookOnly {
            return Ok(unhooked());
        }
        let left = target.timeout.saturating_sub(took).max(SHORTEST);
        let targets = vec![StopTarget {
            timeout: left,
            hook: None,
            ..target.clone()
        }];
        let stopped = self
            .runtime
            .execute(&Action::StopContainers { targets })
            .await?;
        Ok(match stopped {
            Outcome::Done => unhooked(),
            other => other,
        })
    }

    /// Runs a `preStop` hook and returns the whole seconds it took, and whether it failed.
    async fn pre_stop(&self, target: &StopTarget, hook: &Check) -> (Duration, bool) {
        let begun = tokio::time::Instant::now();
        let node = self.node_address();
        let ran = run_hook(&self.runtime, &node, &target.id, hook);
        let why = match tokio::time::timeout(target.timeout, ran).await {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("it was cut at the end of the grace period".to_owned()),
        };
        if let Some(why) = &why {
            warn!(container = %target.name, id = %target.id, "FailedPreStopHook: {why}");
        }
        let took = Duration::from_secs(begun.elapsed().as_secs());
        (took, why.is_some())
    }
}

/// Leaves a mark in the directory of a pod that is there.
fn leave(mark: &Path, on: &Progress) -> io::Result<()> {
    on.begin(mark.display().to_string())?;
    if let Some(directory) = mark.parent() {
        match fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    fs::File::create(mark).map(drop)
}
