//! The images of a pod: what has to be made sure of before a container is made, and what is looked
//! for again afterwards.
//!
//! Differs: under the policy `Always` a present image is used while its registry cannot be reached.
//! The reason stays, and the registry is asked again with the back-off of failed pulls; when it
//! answers, the next container is made of what it said. A running one is never touched for it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use super::containers::{self, Container};
use super::{backoff, wait_until};
use crate::api::ContainerName;
use crate::model::{Action, DesiredPod, Failure, ImageState, PodMemory, PodPlan, Reason};

/// An image and what it is for.
struct Wish<'a> {
    image: &'a str,
    policy: &'a str,
    /// The container that needs it.
    container: &'a str,
    /// Whether that is made of it, and does not only mount it.
    whole: bool,
}

/// The container's image once it is there; plans to make sure of it otherwise.
pub(super) fn image(
    pod: &Arc<DesiredPod>,
    container: &Container<'_>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> Option<ImageState> {
    let wish = Wish {
        image: container.image(),
        policy: container.pull_policy(),
        container: container.name(),
        whole: true,
    };
    make_sure(pod, &wish, memory, now, plan)
}

/// Whether the images that a container mounts are there; plans to make sure of them otherwise.
pub(super) fn volumes(
    pod: &Arc<DesiredPod>,
    container: &Container<'_>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> bool {
    let mut ready = true;
    for (image, policy) in mounted(pod.spec(), container.name()) {
        let wish = Wish {
            image,
            policy,
            container: container.name(),
            whole: false,
        };
        ready &= make_sure(pod, &wish, memory, now, plan).is_some();
    }
    ready
}

/// Image and policy of each image volume that a container mounts.
pub(super) fn mounted<'a>(
    spec: &'a core::PodSpec,
    container: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let container = all.find(|c| c.name == container);
    let mounts = container
        .into_iter()
        .flat_map(|c| c.volume_mounts.iter().flatten());
    mounts.filter_map(|mount| {
        let mut volumes = spec.volumes.iter().flatten();
        let source = volumes.find(|v| v.name == mount.name)?.image.as_ref()?;
        let policy = source.pull_policy.as_deref().unwrap_or("IfNotPresent");
        Some((source.reference.as_deref()?, policy))
    })
}

fn make_sure(
    pod: &Arc<DesiredPod>,
    wish: &Wish<'_>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) -> Option<ImageState> {
    let image = wish.image;
    let reason =
        |word: &str, message: String| Reason::new(word, message).of_container(wish.container);
    let state = memory.images.get(image);
    if let Some(message) = state.and_then(|state| awaited(image, state)) {
        plan.reasons.push(reason("ContainerCreating", message));
        return None;
    }
    match state {
        Some(present @ ImageState::Present { stale, .. }) => {
            if let Some(why) = stale {
                plan.reasons.push(reason(STALE, stale_text(image, why)));
            }
            return Some(present.clone());
        }
        Some(ImageState::Failed(failure)) => {
            let at = backoff::retry_at(failure, backoff::PULL);
            let Reason { word, message, .. } = &failure.reason;
            let said = if word == "ErrImagePull" && now < at && failure.times > 1 {
                let message = format!("Back-off pulling image \"{image}\": {word}: {message}");
                reason("ImagePullBackOff", message)
            } else {
                reason(word, message.clone())
            };
            plan.reasons.push(said.retried_at(at));
            if wait_until(at, now, plan) {
                return None;
            }
        }
        _ => {}
    }
    let asked = |action: &Action| matches!(action, Action::EnsureImage { image: other, policy, .. } if other == image && policy == wish.policy);
    if !plan.actions.iter().any(asked) {
        plan.actions.push(Action::EnsureImage {
            pod: Arc::clone(pod),
            image: image.to_owned(),
            policy: wish.policy.to_owned(),
            container: wish.whole.then(|| ContainerName::new(wish.container)),
        });
    }
    None
}

/// What an image is waited for.
fn awaited(image: &str, state: &ImageState) -> Option<String> {
    Some(match state {
        ImageState::Queued => format!("image {image} waits for other pulls to end"),
        ImageState::Unpacking => format!("image {image} is being unpacked"),
        ImageState::Pulling { .. } => format!("pulling image {image}"),
        ImageState::Importing => {
            format!("image archives are being imported, which may bring {image}")
        }
        ImageState::Present { .. } | ImageState::Failed(_) => return None,
    })
}

/// The reason's word; Kubernetes has none, because there such a pod does not start.
const STALE: &str = "ImageStale";

fn stale_text(image: &str, why: &Reason) -> String {
    format!(
        "the present image {image} is used although the pull policy is Always: {}",
        why.message
    )
}

/// Says which containers run an image that the registry could not be asked for, and asks again.
pub(super) fn recheck(
    pod: &Arc<DesiredPod>,
    memory: &PodMemory,
    now: Timestamp,
    plan: &mut PodPlan,
) {
    for (image, stale) in &memory.stale {
        let Failure { reason, .. } = &stale.failure;
        let at = backoff::retry_at(&stale.failure, backoff::PULL);
        for container in containers::all(pod.spec()).filter(|c| c.image() == image) {
            let said = Reason::new(STALE, stale_text(image, reason)).of_container(container.name());
            plan.reasons.push(said.retried_at(at));
        }
        if !stale.asked && !wait_until(at, now, plan) {
            plan.actions.push(Action::RecheckImage {
                pod: Arc::clone(pod),
                image: image.clone(),
            });
        }
    }
}
