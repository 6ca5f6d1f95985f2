//! Updates in place: whether a running pod can take over a new specification, and which of its
//! containers then have to be restarted.
//!
//! Only the images, environment, resources, commands and arguments of containers may differ. Plain
//! init containers may not: they have run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::api::ContainerName;
use crate::model::resources::qos_class;
use crate::model::{ObservedPod, PodRecord, Renewal};

/// Whether the pod of `old` can take over the specification of `new`.
#[must_use]
pub fn is_renewable(old: &PodRecord, new: &PodRecord) -> bool {
    let meta = |pod: &Pod| {
        let mut labels = pod.metadata.labels.clone().unwrap_or_default();
        labels.remove(crate::api::revisions::HASH_LABEL);
        (labels, pod.metadata.annotations.clone())
    };
    let (Some(before), Some(after)) = (&old.pod.spec, &new.pod.spec) else {
        return false;
    };
    // The class is in the paths of cgroups, which do not change while something runs in them.
    qos_class(before) == qos_class(after)
        && meta(&old.pod) == meta(&new.pod)
        && bare_pod(before) == bare_pod(after)
}

/// The old pod with the new one's specification: same name, uid and sandbox. `have` is what the
/// runtime has of the old pod: what it was made of before is renewed, what comes later is new.
#[must_use]
pub fn renewed(old: &PodRecord, new: &PodRecord, have: Option<&ObservedPod>) -> PodRecord {
    let mut pod = old.pod.clone();
    pod.spec.clone_from(&new.pod.spec);
    pod.metadata.labels.clone_from(&new.pod.metadata.labels);
    PodRecord {
        revision: new.revision.clone(),
        pod,
        renewals: renewals(old, new, have),
        ..old.clone()
    }
}

fn renewals(
    old: &PodRecord,
    new: &PodRecord,
    have: Option<&ObservedPod>,
) -> BTreeMap<ContainerName, Renewal> {
    let (Some(before), Some(after)) = (&old.pod.spec, &new.pod.spec) else {
        return old.renewals.clone();
    };
    let mut renewals = BTreeMap::new();
    for container in all(after) {
        let name = ContainerName::new(&container.name);
        let newest = have.and_then(|have| have.newest(&container.name));
        let Some(upto) = newest.map(|newest| newest.attempt) else {
            continue;
        };
        let was = all(before).find(|was| was.name == container.name);
        let earlier = old
            .renewals
            .get(&name)
            .filter(|earlier| earlier.upto == upto);
        let restart = was.is_none_or(|was| without_resources(was) != without_resources(container))
            || earlier.is_some_and(|earlier| earlier.restart);
        let resize = was.is_some_and(|was| was.resources != container.resources)
            || earlier.is_some_and(|earlier| earlier.resize);
        let renewal = Renewal {
            upto,
            restart,
            resize,
        };
        renewals.insert(name, renewal);
    }
    renewals
}

fn all(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

/// The specification without what may differ.
fn bare_pod(spec: &PodSpec) -> PodSpec {
    let mut spec = spec.clone();
    let sidecars = spec.init_containers.iter_mut().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    for container in sidecars.chain(&mut spec.containers) {
        container.image = None;
        container.image_pull_policy = None;
        container.env = None;
        container.env_from = None;
        container.resources = None;
        container.command = None;
        container.args = None;
    }
    spec
}

fn without_resources(container: &Container) -> Container {
    Container {
        resources: None,
        ..container.clone()
    }
}
