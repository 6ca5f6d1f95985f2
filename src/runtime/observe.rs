//! Reads back from the runtime what it has of the agent's own pods.
//!
//! Only what carries the agent's own node label is asked for and returned, so pods of others are never
//! seen. Never changes anything. Two lists make an observation; a container is asked about once a
//! state, a sandbox's addresses once.

mod convert;
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
        // A runtime that does not know a filter ignores it; what is not ours must not get in.
        sandboxes.retain(|s| carries(&s.labels, &selector));
        containers.retain(|c| carries(&c.labels, &selector));
        Ok(Self {
            sandboxes,
            containers,
        })
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

    /// Everything the runtime has under one pod uid, with the details of each container.
    pub(super) async fn observe_pod(&self, uid: &Uid) -> Result<Option<ObservedPod>, Error> {
        let mut selector = self.own();
        selector.insert(labels::POD_UID.to_owned(), uid.as_str().to_owned());
        let lists = Lists::read(&self.inner.client, selector).await?;
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
        let lists = Lists::read(&self.inner.client, self.own()).await?;
        let cache = &self.inner.cache;
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
            pods.add_container(container, cache.container(&id, container.state()).as_ref());
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
        let status = self.inner.client.container_status(id).await?;
        let mut details = convert::details(&status);
        if details.state == cri::ContainerState::ContainerExited {
            termination::add_message(&mut details, &status);
        }
        self.inner.cache.put_container(id, &details);
        Ok(details)
    }

    /// What is known of a container's files; asks only when nothing is.
    pub(super) async fn any_details(&self, id: &ContainerId) -> Result<Details, Error> {
        match self.inner.cache.any(id) {
            Some(known) => Ok(known),
            None => self.read_details(id).await,
        }
    }

    /// Whether the runtime already shows that this container or sandbox has ended; `None` when it
    /// is not this agent's.
    pub(super) async fn shows_end(&self, id: &str) -> Result<Option<bool>, Error> {
        let containers = self.inner.client.list_containers(cri::ContainerFilter {
            id: id.to_owned(),
            label_selector: self.own(),
            ..Default::default()
        });
        if let Some(container) = containers.await?.iter().find(|c| c.id == id) {
            let running = container.state() == cri::ContainerState::ContainerRunning;
            return Ok(carries(&container.labels, &self.own()).then_some(!running));
        }
        let sandboxes = self.inner.client.list_sandboxes(cri::PodSandboxFilter {
            id: id.to_owned(),
            label_selector: self.own(),
            ..Default::default()
        });
        let sandboxes = sandboxes.await?;
        let sandbox = sandboxes
            .iter()
            .find(|s| s.id == id && carries(&s.labels, &self.own()));
        Ok(sandbox.map(|s| s.state() != cri::PodSandboxState::SandboxReady))
    }
}

/// Pods by uid, in the order of their uids.
type ByUid = BTreeMap<Uid, ObservedPod>;
