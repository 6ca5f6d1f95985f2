//! What carries out a worker's actions: the runtime, the volume room for what lies on the host, and
//! the probe room for questions and hooks. What touches the host's files does so on a thread: it may
//! be much, or hang, and then only that pod waits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{PodKey, Uid};
use crate::blocking::{Blocking, Lane, Progress, Unanswered};
use crate::model::{
    Action, Answer, Check, ContainerId, DesiredPod, HostPort, ObservedPod, Outcome, Reason,
};
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
    /// The threads that touch it.
    pub blocking: Blocking,
}

impl Cri for Hands {
    async fn observe(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error> {
        self.runtime.observe(uid).await
    }

    async fn list(&self) -> Result<Vec<ObservedPod>, Error> {
        self.runtime.list().await
    }

    async fn execute(&self, action: &Action) -> Result<Outcome, Error> {
        match action {
            Action::PrepareVolumes { pod } => Ok(self.prepare_volumes(pod).await),
            Action::CheckPorts { ports } => Ok(self.check_ports(ports).await),
            Action::Teardown { key } => Ok(self.teardown(key).await),
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
    async fn prepare_volumes(&self, pod: &Arc<DesiredPod>) -> Outcome {
        let (pod, places) = (Arc::clone(pod), Arc::clone(&self.places));
        let node = Arc::clone(&self.runtime.host().node);
        let lane = volumes_of(pod.key());
        let prepare = move |on: &Progress| volume::prepare(&pod, &places.pods_root, &node, on);
        match self.blocking.run(lane, prepare).await {
            Ok(Ok(paths)) => Outcome::Volumes(Arc::new(paths)),
            Ok(Err(error)) => Outcome::Failed(error.reason()),
            Err(unanswered) => Outcome::Failed(unanswered.reason("FailedMount")),
        }
    }

    /// After what else is done to the pod's volumes, unless that hangs: then it hears that it is to
    /// stop before it makes anything more, and the pod need not wait for it.
    async fn teardown(&self, key: &PodKey) -> Outcome {
        let remove = || {
            let (key, places) = (key.clone(), Arc::clone(&self.places));
            let host = self.runtime.host();
            move |on: &Progress| {
                let (logs, links) = (&places.pod_logs, &places.container_logs);
                volume::teardown(&key, &places.pods_root, logs, links, on)
                    .map_err(|error| error.reason())
                    .and_then(|()| cgroup::teardown(&key.uid, &host))
            }
        };
        let lane = volumes_of(key);
        let end = format!("end of {lane}");
        let gone = match self.blocking.run(lane, remove()).await {
            Err(Unanswered::Hung { .. }) => self.blocking.run(end, remove()).await,
            gone => gone,
        };
        match gone {
            Ok(gone) => gone.map_or_else(Outcome::Failed, |()| Outcome::Done),
            Err(unanswered) => Outcome::Failed(unanswered.reason("FailedKillPod")),
        }
    }

    async fn check_ports(&self, ports: &[HostPort]) -> Outcome {
        let ports = ports.to_vec();
        let look = move |_: &Progress| node::ports::first_taken(&ports);
        let message = match self.blocking.run(Lane::own("host ports"), look).await {
            Ok(Ok(None)) => return Outcome::Done,
            Ok(Ok(Some(port))) => {
                format!(
                    "host port {port} is in use on this node; the pod that runs is left as it is"
                )
            }
            Ok(Err(error)) => error.to_string(),
            Err(unanswered) => unanswered.to_string(),
        };
        Outcome::Failed(Reason::new(HostPort::CONFLICT, message))
    }

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

/// The lane of what is done to a pod's volumes.
fn volumes_of(key: &PodKey) -> String {
    format!("the volumes of pod {key} ({})", key.uid)
}
