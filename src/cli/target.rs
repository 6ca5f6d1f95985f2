//! Which pod and container a command means: named, a set's newest pod, the pod's default container.

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;

use super::client::{Client, JSON};
use super::explain::find_set;
use crate::api::ObjectKey;
use crate::server::NodeReport;

/// The pod that is meant: a pod's name goes before a set's.
pub(super) async fn find_pod(
    client: &Client,
    target: &str,
    namespace: Option<&str>,
) -> anyhow::Result<ObjectKey> {
    let (kind, rest) = match target.split_once('/') {
        Some(("pod" | "pods" | "po", name)) => (Some("pod"), name),
        Some(("ds" | "daemonset" | "daemonsets" | "daemonsets.apps", name)) => (Some("ds"), name),
        _ => (None, target),
    };
    let report: NodeReport = client.get("/apis/setlet.dev/v1/status", JSON).await?;
    let (within, name) = match rest.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (namespace, rest),
    };
    let pods = || {
        report
            .sets
            .iter()
            .flat_map(|set| &set.pods)
            .chain(&report.orphans)
    };
    let named = |wanted: &str| {
        let mut found = pods().filter(|pod| pod.key.name == name && pod.key.namespace == wanted);
        found.next().map(|pod| pod.key.clone())
    };
    if kind != Some("ds") {
        // A pod's name has a random part, so without a namespace any pod of that name is meant.
        let anywhere = || {
            pods()
                .find(|pod| pod.key.name == name)
                .map(|pod| pod.key.clone())
        };
        let found = match within {
            Some(namespace) => named(namespace),
            None => named("default").or_else(anywhere),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if kind == Some("pod") {
            bail!(
                "there is no pod {} in namespace {}",
                name,
                within.unwrap_or("default")
            );
        }
    }
    let set = find_set(client, rest, namespace).await?;
    let line = report.sets.iter().find(|line| line.key == set);
    let line = line.with_context(|| format!("there is no pod and no set {set}"))?;
    let newest = line.pods.last();
    newest.map(|pod| pod.key.clone()).with_context(|| {
        format!("set {set} has no pod on this node; \"setlet explain {set}\" says why")
    })
}

/// The container of a pod that is meant when none is named, as kubectl chooses it.
pub(super) fn default_container(pod: &Pod) -> anyhow::Result<String> {
    let annotations = pod.metadata.annotations.as_ref();
    let named = annotations.and_then(|a| a.get("kubectl.kubernetes.io/default-container"));
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.iter().flatten();
    let names: Vec<_> = spec
        .containers
        .iter()
        .chain(init)
        .map(|c| &c.name)
        .collect();
    if let Some(named) = named.filter(|named| names.contains(named)) {
        return Ok(named.clone());
    }
    let first = names.first().context("the pod has no containers")?;
    if names.len() > 1 {
        let all: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        crate::cli::complain(&format!(
            "Defaulted container {first:?} out of: {}",
            all.join(", ")
        ));
    }
    Ok((*first).clone())
}
