//! `setlet purge`: ends the agent's pods and takes away what it brought. To be run when the agent does not
//! run, which the lock on the state directory makes sure of.
//!
//! Pods are ended by the same workers that end them for the agent, with their hooks and grace periods, and
//! sets that come after others first. Nothing is removed while the runtime does not answer: what it has
//! can be told by the records only. What somebody else brought stays. It may be cut off at any time and
//! repeated; an agent that is started in between brings its pods back.

mod end;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use super::error::Error;
use super::hands::Hands;
use super::kept::Kept;
use super::{host, line, pods, settings};
use crate::api::{PodKey, Uid};
use crate::blocking::{Blocking, Lane, Progress, Unanswered};
use crate::clock;
use crate::config::Config;
use crate::model::{ObservedPod, PodRecord, Reason};
use crate::runtime::slices::RUN_TIME_UNITS;
use crate::runtime::{self, Cri, Runtime, cgroup};
use crate::store::{self, Store};
use crate::{server, volume};

/// How long the agent's socket may take to accept.
const ANSWER: Duration = Duration::from_secs(5);

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The agent runs.
    #[error("the agent runs{}: stop it first, by \"systemctl stop setlet\"; nothing was removed", by(*.0))]
    Runs(Option<u32>),
    /// The runtime does not answer.
    #[error(
        "the container runtime does not answer at {endpoint}: {source}; start it and try again. \
         Nothing was removed: not the agent's pods ({pods} by its records), not the images that it \
         brought, not {state}", state = state.display()
    )]
    Runtime {
        /// `containerRuntimeEndpoint`.
        endpoint: String,
        /// How many records there are.
        pods: usize,
        /// The state directory.
        state: PathBuf,
        /// Why.
        source: runtime::Error,
    },
    /// What the agent would not start for either.
    #[error(transparent)]
    Agent(#[from] Error),
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// What a purge found, and what it is done with.
pub struct Purge {
    config: Config,
    store: Option<Store>,
    hands: Hands,
    /// The names that the node has and had.
    nodes: BTreeSet<String>,
    pods: BTreeMap<Uid, PodRecord>,
    images: Vec<String>,
    /// Pods under this node's name that another agent made, which lives.
    others: Vec<PodKey>,
}

impl Purge {
    /// Looks what there is, and keeps the agent from starting meanwhile. Changes nothing.
    ///
    /// # Errors
    /// The agent runs, the runtime does not answer, or the state directory cannot be read.
    pub async fn look(config: Config) -> Result<Self, Refusal> {
        let connect = tokio::time::timeout(ANSWER, UnixStream::connect(config.socket()));
        if connect.await.is_ok_and(|connected| connected.is_ok()) {
            return Err(Refusal::Runs(None));
        }
        let store = match Store::open_present(&config.paths.state) {
            Err(store::Error::Locked { pid, .. }) => return Err(Refusal::Runs(pid)),
            opened => opened.map_err(Error::from)?,
        };
        let facts = Arc::new(settings::node_facts(&config)?);
        let kept = match &store {
            Some(store) => Kept::read(store).map_err(Error::from)?,
            None => Kept {
                pods: Vec::new(),
                sets: Vec::new(),
            },
        };
        if let Some(store) = &store {
            line::begin(store, &kept);
        }
        let earlier = kept.of_earlier_names(&facts.name);
        let specs = kept
            .pods
            .iter()
            .filter_map(|record| record.pod.spec.as_ref());
        let mut nodes: BTreeSet<String> = specs.filter_map(|spec| spec.node_name.clone()).collect();
        nodes.insert(facts.name.clone());
        let blocking = Blocking::default();
        let options = settings::runtime(&config, &facts, earlier, blocking.clone());
        let (runtime, _) = Runtime::new(options).map_err(Error::from)?;
        let hands = Hands {
            runtime,
            places: Arc::new(settings::places(&config)),
            blocking,
        };
        let mut purge = Self {
            config,
            store,
            hands,
            nodes,
            pods: BTreeMap::new(),
            images: Vec::new(),
            others: Vec::new(),
        };
        purge
            .ask(kept.pods)
            .await
            .map_err(|(source, pods)| Refusal::Runtime {
                endpoint: purge.config.container_runtime_endpoint.clone(),
                pods,
                state: purge.config.paths.state.clone(),
                source,
            })?;
        Ok(purge)
    }

    /// Asks the runtime what it has beside the records.
    async fn ask(&mut self, kept: Vec<PodRecord>) -> Result<(), (runtime::Error, usize)> {
        let recorded = kept.len();
        let asked = async {
            let runtime = &self.hands.runtime;
            let facts = runtime.handshake().await?;
            let host = runtime.host();
            runtime.set_host(host::updated(&host, Arc::clone(&host.node), Some(&facts)));
            let listed = runtime.list().await?;
            Ok((listed, runtime.brought_images(&self.nodes).await?))
        };
        let (listed, images) = asked.await.map_err(|error| (error, recorded))?;
        self.images = images;
        self.pods = kept
            .into_iter()
            .map(|record| (record.key.uid.clone(), record))
            .collect();
        let (node, now) = (self.hands.runtime.host().node.name.clone(), clock::steady());
        for found in listed {
            let uid = found.key.uid.clone();
            if self.pods.contains_key(&uid) {
                continue;
            }
            if self.is_of_other(&found).await {
                self.others.push(found.key);
            } else {
                self.pods
                    .insert(uid, pods::orphan_record(&found, &node, now));
            }
        }
        Ok(())
    }

    /// Whether another agent with this node's name made a pod, and lives, or may.
    async fn is_of_other(&self, found: &ObservedPod) -> bool {
        let Some(state) = found.state_dir.clone().map(PathBuf::from) else {
            return false;
        };
        let own = self.config.paths.state.clone();
        let lane = format!("whether the state directory {} is in use", state.display());
        let look = move |_: &Progress| store::is_used_by_other(&state, &own);
        self.hands.blocking.run(lane, look).await.unwrap_or(true)
    }

    /// The pods that are ended, as `NAMESPACE/NAME`.
    pub fn pods(&self) -> impl Iterator<Item = String> {
        self.pods.values().map(|record| record.key.to_string())
    }

    /// The names of the images that the agent brought; those that others use by then stay.
    #[must_use]
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// The directories that are emptied of what the agent made.
    #[must_use]
    pub fn directories(&self) -> [&Path; 5] {
        let paths = &self.config.paths;
        [
            &paths.images,
            &paths.run,
            &paths.pod_logs,
            &paths.container_logs,
            &paths.state,
        ]
        .map(PathBuf::as_path)
    }

    /// Does it; each thing that was done or stays is told. False where something of the agent stays.
    pub async fn carry_out(mut self, tell: &mut dyn FnMut(String)) -> bool {
        let mut all = true;
        for key in &self.others {
            tell(format!("pod {key} stays: another agent made it, and runs"));
        }
        for turn in end::turns(self.pods.values()) {
            let turn = turn.into_iter().filter_map(|uid| self.pods.get(&uid));
            for (uid, ended) in end::end_all(&self.hands, turn).await {
                let Some(record) = self.pods.remove(&uid) else {
                    continue;
                };
                match ended.and_then(|()| self.forget(&uid)) {
                    Ok(()) => tell(format!("pod {} ended", record.key)),
                    Err(why) => {
                        all = false;
                        tell(format!("pod {} stays: {why}", record.key));
                    }
                }
            }
        }
        match self.hands.runtime.remove_images(&self.nodes).await {
            Ok(images) => {
                let told = images
                    .removed
                    .iter()
                    .filter(|name| self.images.contains(name));
                told.for_each(|name| tell(format!("image {name} removed")));
                for (name, why) in images.kept {
                    tell(format!("image {name} stays: {why}"));
                }
            }
            Err(error) => {
                all = false;
                tell(format!("images stay: {}", error.line()));
            }
        }
        if !all {
            tell(format!(
                "{} stays, for the next try",
                self.config.paths.state.display()
            ));
            return false;
        }
        match self.remove_files().await {
            Ok(left) => {
                left.iter().for_each(|path| {
                    tell(format!("{} stays: setlet did not make it", path.display()));
                });
                true
            }
            Err(why) => {
                tell(why);
                false
            }
        }
    }

    fn forget(&self, uid: &Uid) -> Result<(), Reason> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let removed = store.remove_pod(uid);
        removed.map_err(|error| Reason::new("FailedKillPod", error.to_string()))
    }

    /// Removes what the agent has in files; what stays in the state directory.
    async fn remove_files(self) -> Result<store::Left, String> {
        let socket = server::unbind(&self.config.socket()).await;
        socket.map_err(|error| error.to_string())?;
        let (paths, host) = (self.config.paths.clone(), self.hands.runtime.host());
        let (store, pods_root) = (self.store, self.hands.places.pods_root.clone());
        let work = move |on: &Progress| {
            cgroup::remove_above(&host).map_err(|e| format!("{RUN_TIME_UNITS}: {e}"))?;
            for uid in volume::made(&pods_root).map_err(|e| e.to_string())? {
                let directory = pods_root.join(uid.as_str());
                volume::remove_left(&directory, on).map_err(|e| e.to_string())?;
            }
            for path in [
                &paths.images,
                &paths.run,
                &paths.pod_logs,
                &paths.container_logs,
            ] {
                store::remove_empty(path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            match store {
                Some(store) => store.erase().map_err(|e| e.to_string()),
                None => Ok(store::Left::new()),
            }
        };
        let done = self
            .hands
            .blocking
            .run(Lane::own("state directory"), work)
            .await;
        done.unwrap_or_else(|why: Unanswered| Err(why.to_string()))
    }
}
