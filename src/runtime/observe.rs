//! Reads back from the runtime what it has of the agent's own pods.
//!
//! Only what carries the agent's own node label is asked for and returned, so pods of others are never
//! seen. Never changes anything. Two lists make an observation; a container is asked about once a
//! state, a sandbox's addresses once.

mod convert;
mod reckon;
mod termination;

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::{join_all, try_join};

use super::Runtime;
use super::cache::Details;
use super::client::Client;
use super::error::Error;
use super::translate::labels;
use crate::api::Uid;
use crate::cri;
use crate::model::{ContainerId, ObservedPod, SandboxId};

/// The two lists an observation is made of.
struct Lists {
    sandboxes: Vec<cri::PodSandbox>,
    containers: Vec<cri::Container>,
}

impl Lists {
    /// Asks for what carries all the labels, both lists at the same time.
    async fn read(client: &Client, selector: HashMap<String, String>) -> Result<Self, Error> {
        let sandboxes = client.list_sandboxes(cri::PodSandboxFilter {
            label_selector: selector.clone(),
            ..Default::default()
        });
        let containers = client.list_containers(cri::ContainerFilter {
            label_selector: selector.clone(),
            ..Default::default()
        });
        let (mut sandboxes, mut containers) = try_join(sandboxes, containers).await?;
        // A runtime that does not know a filter ignores it; what is not meant must not get in.
        sandboxes.retain(|s| carries(&s.labels, &selector));
        containers.retain(|c| carries(&c.labels, &selector));
        Ok(Self {
            sandboxes,
            containers,
        })
    }

    /// Adds what other lists have beside these.
    fn add(&mut self, other: Self) {
        let sandboxes = other.sandboxes.into_iter();
        let news = |s: &cri::PodSandbox| self.sandboxes.iter().all(|known| known.id != s.id);
        let sandboxes: Vec<_> = sandboxes.filter(news).collect();
        let containers = other.containers.into_iter();
        let news = |c: &cri::Container| self.containers.iter().all(|known| known.id != c.id);
        let containers: Vec<_> = containers.filter(news).collect();
        self.sandboxes.extend(sandboxes);
        self.containers.extend(containers);
    }
}

fn carries(labels: &HashMap<String, String>, selector: &HashMap<String, String>) -> bool {
    selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

impl Runtime {
    /// The label that makes a sandbox or container this agent's.
    fn own(&self) -> HashMap<String, String> {
        HashMap::from([(labels::NODE.to_owned(), self.inner.node.clone())])
    }

    /// Whether a sandbox or container with these labels is this agent's: it has the node's name, or is of
    /// a pod that was made before the node got that.
    fn is_own(&self, labels: &HashMap<String, String>) -> bool {
        let is_earlier = |uid: &String| self.inner.earlier.contains(&Uid::new(uid));
        labels.get(labels::NODE).is_some_and(|node| {
            *node == self.inner.node || labels.get(labels::POD_UID).is_some_and(is_earlier)
        })
    }

    /// The labels by which a pod is found.
    fn labels_of(&self, uid: &Uid) -> HashMap<String, String> {
        let mut labels = match self.inner.earlier.contains(uid) {
            true => HashMap::new(),
            false => self.own(),
        };
        labels.insert(labels::POD_UID.to_owned(), uid.as_str().to_owned());
        labels
    }

    /// What is asked for where a single thing is looked for, which may be of an earlier name.
    pub(super) fn selector(&self) -> HashMap<String, String> {
        match self.inner.earlier.is_empty() {
            true => self.own(),
            false => HashMap::new(),
        }
    }

    /// What there is of all pods of this agent.
    async fn list_all(&self) -> Result<Lists, Error> {
        let client = &self.inner.client;
        let mut lists = Lists::read(client, self.own()).await?;
        let earlier = self.inner.earlier.iter();
        let earlier = join_all(earlier.map(|uid| Lists::read(client, self.labels_of(uid))));
        for found in earlier.await {
            lists.add(found?);
        }
        lists.sandboxes.retain(|s| self.is_own(&s.labels));
        lists.containers.retain(|c| self.is_own(&c.labels));
        Ok(lists)
    }

    /// Everything the runtime has under one pod uid, with the details of each container.
    pub(super) async fn observe_pod(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error> {
        let mut lists = Lists::read(&self.inner.client, self.labels_of(uid)).await?;
        lists.sandboxes.retain(|s| self.is_own(&s.labels));
        lists.containers.retain(|c| self.is_own(&c.labels));
        self.reckoning().lists(&mut lists, &self.inner.cache);
        let addresses = join_all(lists.sandboxes.iter().map(|s| self.addresses(s)));
        let details = join_all(lists.containers.iter().map(|c| self.details(c)));
        let (addresses, details) = futures_util::future::join(addresses, details).await;
        let mut pods = convert::Pods::default();
        for (sandbox, addresses) in lists.sandboxes.iter().zip(addresses) {
            pods.add_sandbox(sandbox, addresses?);
        }
        for (container, details) in lists.containers.iter().zip(details) {
            match details {
                Ok(details) => pods.add_container(container, details.as_ref()),
                // Removed between the list and the question.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pods.finish().into_iter().next())
    }

    /// Every pod of this agent, from two calls. Times, exit codes and addresses are there only as
    /// far as an earlier observation learnt them.
    pub(super) async fn list_pods(&self) -> Result<Vec<ObservedPod>, Error> {
        let mut lists = self.list_all().await?;
        let cache = &self.inner.cache;
        self.reckoning().lists(&mut lists, cache);
        let containers: HashSet<&str> = lists.containers.iter().map(|c| c.id.as_str()).collect();
        let sandboxes: HashSet<&str> = lists.sandboxes.iter().map(|s| s.id.as_str()).collect();
        cache.retain(&containers, &sandboxes);
        let mut pods = convert::Pods::default();
        for sandbox in &lists.sandboxes {
            let addresses = cache.addresses(&SandboxId(sandbox.id.clone()));
            pods.add_sandbox(sandbox, addresses.unwrap_or_default());
        }
        for container in &lists.containers {
            let id = ContainerId(container.id.clone());
            pods.add_container(container, cache.listed(&id, container.state()).as_ref());
        }
        Ok(pods.finish())
    }

    /// The addresses of a ready sandbox. A sandbox that is gone or not ready has none.
    async fn addresses(&self, sandbox: &cri::PodSandbox) -> Result<Vec<String>, Error> {
        let id = SandboxId(sandbox.id.clone());
        if let Some(known) = self.inner.cache.addresses(&id) {
            return Ok(known);
        }
        if sandbox.state() != cri::PodSandboxState::SandboxReady {
            return Ok(Vec::new());
        }
        match self.inner.client.sandbox_status(&id).await {
            Ok(status) => {
                let addresses = convert::addresses(status.network);
                self.inner.cache.put_addresses(&id, &addresses);
                Ok(addresses)
            }
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn details(&self, listed: &cri::Container) -> Result<Option<Details>, Error> {
        let id = ContainerId(listed.id.clone());
        match listed.state() {
            cri::ContainerState::ContainerCreated | cri::ContainerState::ContainerUnknown => {
                Ok(None)
            }
            state => match self.inner.cache.container(&id, state) {
                Some(known) => Ok(Some(known)),
                None => self.read_details(&id).await.map(Some),
            },
        }
    }

    /// Asks for a container's status and keeps what it says.
    pub(super) async fn read_details(&self, id: &ContainerId) -> Result<Details, Error> {
        let mut status = self.inner.client.container_status(id).await?;
        let known = self.inner.cache.any(id);
        self.reckoning().status(&mut status, known.as_ref());
        let mut details = convert::details(&status);
        if details.state == cri::ContainerState::ContainerExited {
            details = self.with_last_words(id, details, status).await;
        }
        self.inner.cache.put_container(id, &details);
        Ok(details)
    }

    /// Adds what a container left behind, read on a thread: its files are its own to shape.
    async fn with_last_words(
        &self,
        id: &ContainerId,
        mut details: Details,
        status: cri::ContainerStatus,
    ) -> Details {
        let mut told = details.clone();
        let lane = format!("the termination message of container {id}");
        let read = self.inner.blocking.run(lane, move |_| {
            termination::add_message(&mut told, &status);
            told
        });
        read.await.unwrap_or_else(|why| {
            details.message = format!("{} {why}", details.message).trim().to_owned();
            details
        })
    }

    /// What is known of a container's files; asks only when nothing is.
    pub(super) async fn any_details(&self, id: &ContainerId) -> Result<Details, Error> {
        match self.inner.cache.any(id) {
            Some(known) => Ok(known),
            None => self.read_details(id).await,
        }
    }

    /// How the runtime shows this container or sandbox.
    pub(super) async fn show(&self, id: &str) -> Result<Shown, Error> {
        let containers = self.inner.client.list_containers(cri::ContainerFilter {
            id: id.to_owned(),
            label_selector: self.selector(),
            ..Default::default()
        });
        if let Some(container) = containers.await?.iter().find(|c| c.id == id) {
            return Ok(match container.state() {
                _ if !self.is_own(&container.labels) => Shown::Foreign,
                cri::ContainerState::ContainerCreated => Shown::Created,
                cri::ContainerState::ContainerRunning => Shown::Runs,
                _ => Shown::Ended,
            });
        }
        let sandboxes = self.inner.client.list_sandboxes(cri::PodSandboxFilter {
            id: id.to_owned(),
            label_selector: self.selector(),
            ..Default::default()
        });
        let sandboxes = sandboxes.await?;
        let sandbox = sandboxes
            .iter()
            .find(|s| s.id == id && self.is_own(&s.labels));
        Ok(match sandbox.map(cri::PodSandbox::state) {
            None => Shown::Foreign,
            Some(cri::PodSandboxState::SandboxReady) => Shown::Runs,
            Some(cri::PodSandboxState::SandboxNotready) => Shown::Ended,
        })
    }
}

/// How the runtime shows a container or sandbox that is said to have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is not this agent's, or is gone.
    Foreign,
    /// Its start has not been answered yet.
    Created,
    /// It runs.
    Runs,
    /// It has ended.
    Ended,
}

/// Pods by uid, in the order of their uids.
type ByUid = BTreeMap<Uid, ObservedPod>;
