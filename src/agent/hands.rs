//! What carries out a worker's actions: the runtime, the volume room for what lies on the host, and
//! the probe room for questions and hooks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Uid;
use crate::model::{Action, Answer, Check, ContainerId, HostPort, ObservedPod, Outcome, Reason};
use crate::node;
use crate::probe::{self, Ask};
use crate::runtime::{Cri, Error, Runtime, cgroup};
use crate::volume;

/// Where the agent keeps what belongs to pods.
#[derive(Debug)]
pub struct Places {
    /// Volumes and files, one directory a pod uid.
    pub pods_root: PathBuf,
    /// Container logs.
    pub pod_logs: PathBuf,
    /// Links to container logs.
    pub container_logs: PathBuf,
}

/// The runtime and the host.
#[derive(Clone)]
pub struct Hands {
    /// The runtime.
    pub runtime: Runtime,
    /// The host.
    pub places: Arc<Places>,
}

impl Cri for Hands {
    async fn observe(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error> {
        self.runtime.observe(uid).await
    }

    async fn list(&self) -> Result<Vec<ObservedPod>, Error> {
        self.runtime.list().await
    }

    async fn execute(&self, action: &Action) -> Result<Outcome, Error> {
        let places = &self.places;
        match action {
            Action::PrepareVolumes { pod } => Ok(
                match volume::prepare(pod, &places.pods_root, &self.runtime.host().node) {
                    Ok(paths) => Outcome::Volumes(Arc::new(paths)),
                    Err(error) => Outcome::Failed(error.reason()),
                },
            ),
            Action::CheckPorts { ports } => Ok(check_ports(ports)),
            Action::Teardown { key } => {
                let (logs, links) = (&places.pod_logs, &places.container_logs);
                let gone = volume::teardown(key, &places.pods_root, logs, links)
                    .map_err(|error| error.reason())
                    .and_then(|()| cgroup::teardown(&key.uid, &self.runtime.host()));
                Ok(gone.map_or_else(Outcome::Failed, |()| Outcome::Done))
            }
            Action::RunPostStart {
                key,
                id,
                container,
                hook,
            } => Ok(self.post_start(key, id, container, hook).await),
            Action::StopContainers { targets } => self.stop(targets).await,
            _ => self.runtime.execute(action).await,
        }
    }

    async fn release_images(&self, uid: &Uid, keep: BTreeSet<String>) {
        self.runtime.release_images(uid, keep).await;
    }
}

impl Hands {
    /// The host of probes and hooks of pods on the host network.
    pub(super) fn node_address(&self) -> String {
        let host = self.runtime.host();
        let address = host.node.addresses.first();
        address.map_or_else(|| "localhost".to_owned(), ToString::to_string)
    }
}

impl Ask for Hands {
    async fn ask(&self, container: &ContainerId, check: &Check, timeout: Duration) -> Answer {
        probe::ask(
            &self.runtime,
            &self.node_address(),
            container,
            check,
            timeout,
        )
        .await
    }
}

fn check_ports(ports: &[HostPort]) -> Outcome {
    let message = match node::ports::first_taken(ports) {
        Ok(None) => return Outcome::Done,
        Ok(Some(port)) => {
            format!("host port {port} is in use on this node; the pod that runs is left as it is")
        }
        Err(error) => error.to_string(),
    };
    Outcome::Failed(Reason::new(HostPort::CONFLICT, message))
}
