//! The container runtime: the only room that knows CRI.
//!
//! Reads back what runs ([`Cri::observe`], [`Cri::list`]), carries out one action at a time
//! ([`Cri::execute`]), says when to look again ([`watch_events`]), reads logs ([`log`]) and has
//! commands run with their streams ([`Runtime::exec`]). Decides
//! nothing about what should run, starts no task of its own, and touches only what carries the
//! agent's own node label. Follows kubelet's kuberuntime (pkg/kubelet/kuberuntime) and CRI v1.

mod brought;
mod cache;
pub mod cgroup;
mod client;
mod cni;
mod containerd;
mod error;
mod events;
mod execute;
pub mod files;
mod image;
mod left_tasks;
mod links;
pub mod log;
mod lost;
mod network;
mod observe;
mod pins;
mod preload;
pub mod slices;
pub(crate) mod streaming;
pub mod translate;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

pub use brought::Images;
pub use client::RuntimeFacts;
pub use error::{Error, Retry};
pub use events::{Hint, watch_events};
pub use execute::files_of;
pub use image::{NodeCredentials, PullRequests, run_puller};
pub use network::keep_network;
pub use pins::keep_pinned;
pub use preload::run_preload;
pub use streaming::{Exec, Input, Output, Piece, Size, StreamError};

use crate::api::Uid;
use crate::blocking::Blocking;
use crate::model::{Action, ContainerId, ObservedPod, Outcome, Reason};

/// What a worker needs of the runtime. The real one is [`Runtime`]; a stand-in applies actions to a
/// value in memory.
#[expect(
    async_fn_in_trait,
    reason = "the agent is one thread: its tasks need not be Send"
)]
pub trait Cri {
    /// Everything the runtime has under one pod uid; `None` when there is nothing.
    ///
    /// # Errors
    /// When the runtime cannot be asked: then nothing is known, not even that the pod is gone.
    async fn observe(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error>;

    /// Every pod of this agent, in order of uids. Cheap, and good for which pods there are and in
    /// which states their sandboxes and containers are: start times, exit codes, messages and
    /// addresses that no observation has read yet are left at creation time, 0 and empty.
    ///
    /// # Errors
    /// When the runtime cannot be asked.
    async fn list(&self) -> Result<Vec<ObservedPod>, Error>;

    /// Carries out one action. What the runtime refuses is an [`Outcome::Failed`] with the reason
    /// to show; repeating an action that was already done, or cut short, is harmless.
    ///
    /// # Errors
    /// When the runtime could not be reached or went away meanwhile, so that only an observation
    /// tells what was done; and [`Error::NotRuntime`] for the actions of other rooms.
    async fn execute(&self, action: &Action) -> Result<Outcome, Error>;

    /// Takes back the pod's wishes for image pulls, but for these images: to be called when a pod's
    /// images change or it is no longer wanted. A pull nobody else wants is ended.
    async fn release_images(&self, uid: &Uid, keep: BTreeSet<String>);
}

/// What the runtime's handle is made of.
pub struct Options {
    /// `containerRuntimeEndpoint`, for example `unix:///run/containerd/containerd.sock`.
    pub endpoint: String,
    /// `runtimeRequestTimeout`: how long a call may take.
    pub request_timeout: Duration,
    /// `imagePull.maxParallel`: so many images are pulled at a time, from 1.
    pub parallel_pulls: usize,
    /// The node whose pods these are: the value of the label `setlet.dev/node`.
    pub node: String,
    /// Pods that were made before the node got that name: theirs is another one.
    pub earlier: BTreeSet<Uid>,
    /// Where the links to logs are made, `/var/log/containers` by default.
    pub container_logs: PathBuf,
    /// Whether [`run_preload`] is to be started, for whose first pass absent images then wait.
    pub preload: bool,
    /// What pods are translated with.
    pub host: translate::Host,
    /// The threads that touch the files of pods.
    pub blocking: Blocking,
    /// Says what time it is.
    pub clock: fn() -> Timestamp,
}

/// A handle on the runtime; clones are cheap and share the connection and what was learnt.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    client: client::Client,
    node: String,
    earlier: BTreeSet<Uid>,
    container_logs: PathBuf,
    host: watch::Sender<Arc<translate::Host>>,
    blocking: Blocking,
    clock: fn() -> Timestamp,
    cache: cache::Cache,
    pulls: image::PullSender,
    /// Where the leases of pods' addresses lie, once that is known.
    networks: Mutex<Vec<PathBuf>>,
    /// Why pods can have no network, as it was last heard.
    network: watch::Sender<Option<Reason>>,
    /// Whether archives that were there at the start are still being imported.
    preloading: watch::Sender<bool>,
}

impl Runtime {
    /// Makes the handle, without connecting, and what [`run_puller`] is to be started with. To be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Endpoint`] when the endpoint is not a unix socket's.
    pub fn new(options: Options) -> Result<(Self, PullRequests), Error> {
        let (pulls, requests) = image::PullSender::new(options.parallel_pulls);
        let inner = Inner {
            client: client::Client::new(&options.endpoint, options.request_timeout)?,
            node: options.node,
            earlier: options.earlier,
            container_logs: options.container_logs,
            host: watch::Sender::new(Arc::new(options.host)),
            blocking: options.blocking,
            clock: options.clock,
            cache: cache::Cache::default(),
            pulls,
            networks: Mutex::default(),
            network: watch::Sender::new(None),
            preloading: watch::Sender::new(options.preload),
        };
        let inner = Arc::new(inner);
        Ok((Self { inner }, requests))
    }

    /// Asks the runtime who it is and what it can do. To be asked after each [`Hint::All`]: another
    /// version may have taken over.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn handshake(&self) -> Result<RuntimeFacts, Error> {
        self.inner.client.handshake().await
    }

    /// What pods are translated with now.
    #[must_use]
    pub fn host(&self) -> Arc<translate::Host> {
        self.inner.host.borrow().clone()
    }

    /// Translates with other facts from now on.
    pub fn set_host(&self, host: translate::Host) {
        self.inner.host.send_replace(Arc::new(host));
    }

    /// Runs a command in a container and returns its exit status and what it printed, standard
    /// output first. A timeout of zero is none.
    ///
    /// # Errors
    /// When the command could not be run; with the code `DeadlineExceeded` when it took too long.
    pub async fn exec_sync(
        &self,
        container: &ContainerId,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<(i32, Vec<u8>), Error> {
        let client = &self.inner.client;
        let answer = client.exec_sync(container, command, timeout).await?;
        let mut output = answer.stdout;
        output.extend(answer.stderr);
        Ok((answer.exit_code, output))
    }

    /// The log file of a container.
    ///
    /// # Errors
    /// When the runtime cannot be asked, or has no such container.
    pub async fn log_path(&self, container: &ContainerId) -> Result<Option<PathBuf>, Error> {
        let details = self.any_details(container).await?;
        Ok(details.log_path)
    }
}

impl Cri for Runtime {
    async fn observe(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error> {
        self.observe_pod(uid).await
    }

    async fn list(&self) -> Result<Vec<ObservedPod>, Error> {
        self.list_pods().await
    }

    async fn execute(&self, action: &Action) -> Result<Outcome, Error> {
        self.execute_action(action).await
    }

    async fn release_images(&self, uid: &Uid, keep: BTreeSet<String>) {
        self.inner.pulls.release(uid, keep).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: &T) {}

    /// The server's requests may be handled by any thread; only compiling it matters.
    #[test]
    fn the_real_runtimes_futures_are_send() {
        let _ = |runtime: &Runtime, action: &Action, uid: &Uid, id: &ContainerId| {
            is_send(&runtime.execute(action));
            is_send(&runtime.observe(uid));
            is_send(&runtime.list());
            is_send(&runtime.log_path(id));
            is_send(&runtime.exec_sync(id, Vec::new(), Duration::ZERO));
            is_send(&async { runtime.exec(id, &Exec::default()).await });
            is_send(&log::read(PathBuf::new(), log::Options::default()));
        };
    }
}
