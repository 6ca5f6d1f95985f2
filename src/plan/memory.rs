//! What a worker remembers after an action: the only way its memory changes.

use std::sync::Arc;

use jiff::Timestamp;

use super::backoff::failed_again;
use super::effect::take_answer;
use super::images::mounted;
use crate::model::{
    Action, ContainerId, DesiredPod, Failure, ImageState, ObservedPod, Outcome, PodMemory,
    PortState, PostStart, Reason, Stale, StopKind, VolumeState,
};

/// Takes the outcome of an action into the memory.
pub fn remember(memory: &mut PodMemory, action: &Action, outcome: Outcome, now: Timestamp) {
    let before = memory.clone();
    let answer = outcome.clone();
    take_in(memory, action, outcome, now);
    take_answer(memory, &before, action, &answer, now);
}

fn take_in(memory: &mut PodMemory, action: &Action, outcome: Outcome, now: Timestamp) {
    remember_stops(memory, action);
    match (action, outcome) {
        (Action::PrepareVolumes { pod }, Outcome::Volumes(paths)) => {
            memory.volumes = VolumeState::Prepared {
                paths,
                references: Arc::clone(&pod.references),
            };
        }
        (Action::CheckPorts { ports }, Outcome::Done) => {
            memory.ports = PortState::Free(ports.clone());
        }
        (Action::EnsureImage { image, .. }, outcome) => {
            remember_image(memory, image, outcome, now);
        }
        (
            Action::CreateContainer {
                container,
                image,
                pod,
                ..
            },
            Outcome::Created(_),
        ) => {
            memory.containers.remove(container.as_str());
            forget_images(memory, pod, container.as_str(), image, now);
        }
        (Action::StartContainer { container, .. }, Outcome::Done) => {
            memory.containers.remove(container.as_str());
        }
        (Action::UpdateResources { id, container, .. }, Outcome::Done) => {
            memory.containers.remove(container.as_str());
            memory.instances.entry(id.clone()).or_default().resized = true;
        }
        (Action::RunPostStart { id, .. }, outcome) => remember_hook(memory, id, outcome),
        (Action::RecheckImage { image, .. }, outcome) => {
            remember_recheck(memory, image, outcome, now);
        }
        (Action::RunSandbox { .. }, Outcome::Done) => {
            memory.sandbox = None;
            // What is left of the one before is another matter from now on.
            memory.teardown = None;
        }
        (
            Action::StopSandbox { .. }
            | Action::RemoveSandbox { .. }
            | Action::StopContainers { .. }
            | Action::RemoveContainer { .. }
            | Action::Teardown { .. },
            Outcome::Done | Outcome::Stopped(_),
        ) => remember_end(memory, action),
        (action, Outcome::Failed(reason)) => remember_failure(memory, action, reason, now),
        _ => {}
    }
}

/// Takes over what a worker before this one has left with the containers: that the registry could not be
/// asked for the image of one that runs.
pub fn take_over(memory: &mut PodMemory, pod: &DesiredPod, have: &ObservedPod) {
    for container in have.containers.iter().filter(|c| c.is_running()) {
        let image = image_of(pod, container.name.as_str());
        if let (Some(why), Some(image)) = (&container.image_stale, image) {
            let stale = Stale {
                failure: Failure {
                    reason: Reason::new("ErrImagePull", why.clone()),
                    times: 1,
                    last: container.created_at,
                },
                asked: false,
            };
            memory.stale.entry(image.to_owned()).or_insert(stale);
        }
    }
}

/// A step towards the end was done, so what failed before has not failed for good.
fn remember_end(memory: &mut PodMemory, action: &Action) {
    memory.teardown = None;
    match action {
        Action::StopSandbox { id } => drop(memory.stopped.insert(id.clone())),
        Action::RemoveSandbox { id, .. } => {
            memory.stopped.remove(id);
            memory.unreleased.remove(id);
        }
        Action::Teardown { .. } => memory.torn_down = true,
        _ => {}
    }
}

/// Forgets failures that a changed wish may have cured, so that they are tried again at once.
pub fn forget_failures(memory: &mut PodMemory) {
    if matches!(memory.volumes, VolumeState::Failed(_)) {
        memory.volumes = VolumeState::Unknown;
    }
    memory.ports = PortState::Unknown;
    memory.containers.clear();
    memory.sandbox = None;
    memory.teardown = None;
    memory.effect.fruitless = None;
}

/// A hook is not run twice, whatever became of the stop that follows it.
fn remember_stops(memory: &mut PodMemory, action: &Action) {
    let Action::StopContainers { targets } = action else {
        return;
    };
    for target in targets {
        let unhealthy = target.kind == StopKind::Unhealthy;
        if target.hook.is_some() || unhealthy {
            let instance = memory.instances.entry(target.id.clone()).or_default();
            instance.pre_stopped |= target.hook.is_some();
            instance.unhealthy |= unhealthy;
        }
    }
}

fn remember_hook(memory: &mut PodMemory, id: &ContainerId, outcome: Outcome) {
    let how = match outcome {
        Outcome::Done => PostStart::Done,
        Outcome::Failed(reason) => PostStart::Failed(reason),
        _ => return,
    };
    memory.instances.entry(id.clone()).or_default().post_start = how;
}

/// A container was made: the next attempt asks for its images again, as the pull policy wants it.
/// That the registry could not be asked this time is kept.
fn forget_images(
    memory: &mut PodMemory,
    pod: &DesiredPod,
    container: &str,
    image: &ImageState,
    now: Timestamp,
) {
    for (volume, _) in mounted(pod.spec(), container) {
        memory.images.remove(volume);
    }
    let (Some(name), ImageState::Present { stale, .. }) = (image_of(pod, container), image) else {
        return;
    };
    memory.images.remove(name);
    match stale {
        Some(reason) => {
            let before = memory.stale.get(name).map(|stale| &stale.failure);
            let failure = failed_again(before, reason.clone(), now);
            let stale = Stale {
                failure,
                asked: false,
            };
            memory.stale.insert(name.to_owned(), stale);
        }
        None => drop(memory.stale.remove(name)),
    }
}

/// What a registry said that was asked again; the image is for the next container.
fn remember_recheck(memory: &mut PodMemory, image: &str, outcome: Outcome, now: Timestamp) {
    let Some(stale) = memory.stale.get_mut(image) else {
        return;
    };
    stale.asked = matches!(&outcome, Outcome::Image(state) if state.is_awaited());
    match outcome {
        Outcome::Image(ImageState::Present { stale: None, .. }) => {
            memory.stale.remove(image);
        }
        Outcome::Image(
            ImageState::Present {
                stale: Some(reason),
                ..
            }
            | ImageState::Failed(Failure { reason, .. }),
        )
        | Outcome::Failed(reason) => {
            stale.failure = failed_again(Some(&stale.failure), reason, now);
        }
        _ => {}
    }
}

fn remember_image(memory: &mut PodMemory, image: &str, outcome: Outcome, now: Timestamp) {
    let state = match outcome {
        Outcome::Image(ImageState::Failed(Failure { reason, .. })) | Outcome::Failed(reason) => {
            let failure = failed_again(memory.pulls_failed.get(image), reason, now);
            memory
                .pulls_failed
                .insert(image.to_owned(), failure.clone());
            ImageState::Failed(failure)
        }
        Outcome::Image(state) => {
            if matches!(state, ImageState::Present { .. }) {
                memory.pulls_failed.remove(image);
            }
            state
        }
        _ => return,
    };
    memory.images.insert(image.to_owned(), state);
}

fn remember_failure(memory: &mut PodMemory, action: &Action, reason: Reason, now: Timestamp) {
    let again = |before: Option<&Failure>| failed_again(before, reason, now);
    match action {
        Action::PrepareVolumes { .. } => {
            let before = match &memory.volumes {
                VolumeState::Failed(failure) => Some(failure),
                _ => None,
            };
            memory.volumes = VolumeState::Failed(again(before));
        }
        Action::CheckPorts { .. } => {
            let before = match &memory.ports {
                PortState::Failed(failure) => Some(failure),
                _ => None,
            };
            memory.ports = PortState::Failed(again(before));
        }
        Action::RunSandbox { .. } => memory.sandbox = Some(again(memory.sandbox.as_ref())),
        Action::CreateContainer { container, .. }
        | Action::StartContainer { container, .. }
        | Action::UpdateResources { container, .. } => {
            let entry = memory
                .containers
                .entry(container.as_str().to_owned())
                .or_default();
            entry.failure = Some(again(entry.failure.as_ref()));
        }
        _ => {
            if let Action::StopSandbox { id } = action {
                *memory.unreleased.entry(id.clone()).or_default() += 1;
            }
            memory.teardown = Some(again(memory.teardown.as_ref()));
        }
    }
}

fn image_of<'a>(pod: &'a DesiredPod, container: &str) -> Option<&'a str> {
    let spec = pod.spec();
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    all.find(|c| c.name == container)?.image.as_deref()
}
