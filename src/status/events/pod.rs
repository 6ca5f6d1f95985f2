//! What is told of one pod: its worker says what it begins, what came of it and what waits, and
//! hears which events that is. A [`Chronicle`] knows what was told before, so that a wait that is
//! looked at again is not another event.
//!
//! Follows kubelet v1.36: `pkg/kubelet/images/image_manager.go`, `kuberuntime_container.go`,
//! `kuberuntime_manager.go` and `pkg/kubelet/prober/prober.go`. Differs: kubelet tells of a back-off
//! each time it looks at the pod, a few times a minute; here each wait is one event. A present image
//! that stands in for an unreachable registry's is told of as both: the failed pull, and the image.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ContainerName;
use crate::model::time::between;
use crate::model::{
    Action, Answer, ContainerId, DesiredPod, Failure, ImageState, Involved, Note, Outcome,
    PodMemory, PodPlan, PostStart, ProbeKind, ProbeTarget, Reason, StopKind, StopTarget,
};

/// What was told of a pod.
#[derive(Debug, Default)]
pub struct Chronicle {
    /// Since when each image is being pulled.
    pulling: BTreeMap<String, Timestamp>,
    /// Containers of which was told that they are stopped.
    killed: BTreeSet<ContainerId>,
    /// The newest sandbox attempt of which was told that it replaces another.
    replaced: u32,
    /// The waits of which was told.
    waits: BTreeSet<Wait>,
}

/// A wait: for what, what it concerns, and which of several in a row.
type Wait = (String, Option<String>, Option<Timestamp>);

impl Chronicle {
    /// What to tell when an action begins.
    pub fn begin(&mut self, pod: &DesiredPod, action: &Action, memory: &PodMemory) -> Vec<Note> {
        match action {
            Action::StopContainers { targets } => {
                let new = |target: &&StopTarget| self.killed.insert(target.id.clone());
                let new: Vec<_> = targets.iter().filter(new).collect();
                let told = new.into_iter().map(|target| {
                    let whom = container(pod, target.name.as_str());
                    Note::normal(whom, "Killing", why_stopped(target, memory))
                });
                told.collect()
            }
            Action::RunSandbox { attempt, .. } if *attempt > self.replaced => {
                self.replaced = *attempt;
                let message = "Pod sandbox changed, it will be killed and re-created.";
                let whom = Involved::pod(pod.key());
                vec![Note::normal(whom, "SandboxChanged", message)]
            }
            _ => Vec::new(),
        }
    }

    /// What to tell of an action's outcome.
    pub fn end(
        &mut self,
        pod: &DesiredPod,
        action: &Action,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Vec<Note> {
        match (action, outcome) {
            (
                Action::EnsureImage {
                    image,
                    container: made,
                    ..
                },
                outcome,
            ) => {
                let whom = match made {
                    Some(name) => container(pod, name.as_str()),
                    None => Involved::pod(pod.key()),
                };
                match outcome {
                    Outcome::Image(state) => self.image(&whom, image, state, now),
                    Outcome::Failed(reason) => failed_image(&whom, image, reason),
                    _ => Vec::new(),
                }
            }
            (Action::StopContainers { .. }, Outcome::Stopped(unhooked)) => {
                let note = |name: &ContainerName| {
                    let whom = container(pod, name.as_str());
                    Note::warning(whom, "FailedPreStopHook", "PreStopHook failed")
                };
                unhooked.iter().map(note).collect()
            }
            (action, Outcome::Failed(reason)) => failed(pod, action, reason),
            (
                Action::CreateContainer {
                    container: made, ..
                },
                Outcome::Created(_),
            ) => {
                let whom = container(pod, made.as_str());
                vec![Note::normal(whom, "Created", "Container created")]
            }
            (
                Action::StartContainer {
                    container: started, ..
                },
                Outcome::Done,
            ) => {
                let whom = container(pod, started.as_str());
                vec![Note::normal(whom, "Started", "Container started")]
            }
            _ => Vec::new(),
        }
    }

    /// What to tell of what waits; of each wait once.
    pub fn wait(&mut self, pod: &DesiredPod, plan: &PodPlan, memory: &PodMemory) -> Vec<Note> {
        let held = pod.held.iter().map(|reason| held(pod, reason));
        let crashes = plan.reasons.iter().filter_map(|reason| crash(pod, reason));
        let pulls = memory.images.iter();
        let pulls = pulls.filter_map(|(image, state)| pull_wait(pod, image, state));
        let mut present = BTreeSet::new();
        let mut notes = Vec::new();
        for (wait, told) in held.chain(crashes).chain(pulls) {
            if present.insert(wait.clone()) && !self.waits.contains(&wait) {
                notes.extend(told);
            }
        }
        self.waits = present;
        notes
    }

    fn image(
        &mut self,
        whom: &Involved,
        image: &str,
        state: &ImageState,
        now: Timestamp,
    ) -> Vec<Note> {
        let since = match state {
            ImageState::Queued | ImageState::Unpacking | ImageState::Importing => {
                return Vec::new();
            }
            ImageState::Pulling { since, .. } => {
                let before = self.pulling.insert(image.to_owned(), *since);
                let message = format!("Pulling image {image:?}");
                let note = (before != Some(*since))
                    .then(|| Note::normal(whom.clone(), "Pulling", message));
                return note.into_iter().collect();
            }
            _ => self.pulling.remove(image),
        };
        match state {
            ImageState::Present { stale, pulled, .. } => {
                let message = match pulled {
                    Some(pull) => {
                        let waited = since.map(|since| between(since, now));
                        format!(
                            "Successfully pulled image {image:?} in {} ({} including waiting). \
                             Image size: {} bytes.",
                            in_words(pull.took),
                            in_words(waited.unwrap_or(pull.took).max(pull.took)),
                            pull.size,
                        )
                    }
                    None => format!(
                        "Container image {image:?} already present on machine and can be accessed \
                         by the pod"
                    ),
                };
                let stale = stale.iter().map(|why| failed_pull(whom, image, why));
                let pulled = Note::normal(whom.clone(), "Pulled", message);
                stale.chain([pulled]).collect()
            }
            ImageState::Failed(Failure { reason, .. }) => failed_image(whom, image, reason),
            _ => Vec::new(),
        }
    }
}

/// What to tell of a probe's answer.
#[must_use]
pub fn unwell(pod: &DesiredPod, probe: &ProbeTarget, answer: &Answer) -> Option<Note> {
    let kind = probe.kind.word();
    let message = match answer {
        Answer::Success => return None,
        Answer::Failure(why) => format!("{kind} probe failed: {why}"),
        Answer::Unknown(why) => {
            format!("{kind} probe errored and resulted in unknown state: {why}")
        }
    };
    let whom = container(pod, probe.container.as_str());
    Some(Note::warning(whom, "Unhealthy", message))
}

/// One container of the pod.
fn container(pod: &DesiredPod, name: &str) -> Involved {
    let mut init = pod.spec().init_containers.iter().flatten();
    let list = if init.any(|container| container.name == name) {
        "initContainers"
    } else {
        "containers"
    };
    Involved::pod(pod.key()).at(format!("spec.{list}{{{name}}}"))
}

fn why_stopped(target: &StopTarget, memory: &PodMemory) -> String {
    let name = &target.name;
    if target.kind == StopKind::Unhealthy {
        let results = memory.probes.get(&target.id);
        let failed = results.and_then(|results| results.failed.as_ref());
        let probe = match failed.map(|failed| failed.kind) {
            Some(ProbeKind::Startup) => "startup",
            _ => "liveness",
        };
        return format!("Container {name} failed {probe} probe, will be restarted");
    }
    let instance = memory.instances.get(&target.id);
    if instance.is_some_and(|instance| matches!(instance.post_start, PostStart::Failed(_))) {
        return "FailedPostStartHook".to_owned();
    }
    format!("Stopping container {name}")
}

/// An action that failed and that is not about an image.
fn failed(pod: &DesiredPod, action: &Action, reason: &Reason) -> Vec<Note> {
    let whole = Involved::pod(pod.key());
    let message = &reason.message;
    vec![match action {
        Action::PrepareVolumes { .. } => Note::warning(whole, "FailedMount", message),
        Action::CheckPorts { .. } => Note::warning(whole, reason.word.clone(), message),
        Action::RunSandbox { .. } if reason.word == Reason::NETWORK_NOT_READY => {
            let message = format!("network is not ready: {message}");
            Note::warning(whole, reason.word.clone(), message)
        }
        Action::RunSandbox { .. } => {
            let message = format!("Failed to create pod sandbox: {message}");
            Note::warning(whole, "FailedCreatePodSandBox", message)
        }
        Action::CreateContainer { container: of, .. }
        | Action::StartContainer { container: of, .. } => {
            let message = format!("Error: {message}");
            Note::warning(container(pod, of.as_str()), "Failed", message)
        }
        // The hook's own words may hold a secret; they are in the pod's status only.
        Action::RunPostStart { container: of, .. } => {
            let whom = container(pod, of.as_str());
            Note::warning(whom, "FailedPostStartHook", "PostStartHook failed")
        }
        Action::UpdateResources { container: of, .. } => {
            let message = format!("Error resizing container: {message}");
            Note::warning(container(pod, of.as_str()), "ResizeError", message)
        }
        Action::StopContainers { .. }
        | Action::StopSandbox { .. }
        | Action::RemoveSandbox { .. }
        | Action::Teardown { .. } => Note::warning(
            whole,
            "FailedKillPod",
            format!("error killing pod: {message}"),
        ),
        Action::EnsureImage { .. }
        | Action::RecheckImage { .. }
        | Action::RemoveContainer { .. } => {
            return Vec::new();
        }
    }]
}

fn failed_pull(whom: &Involved, image: &str, reason: &Reason) -> Note {
    let message = format!("Failed to pull image {image:?}: {}", reason.message);
    Note::warning(whom.clone(), "Failed", message)
}

/// An image that is not to be had, and so its container.
fn failed_image(whom: &Involved, image: &str, reason: &Reason) -> Vec<Note> {
    let Reason { word, message, .. } = reason;
    let told = |word: &'static str, message| Note::warning(whom.clone(), word, message);
    let why = match word.as_str() {
        "ErrImageNeverPull" => {
            let message =
                format!("Container image {image:?} is not present with pull policy of Never");
            told("ErrImageNeverPull", message)
        }
        "InvalidImageName" => {
            let message = format!("Failed to apply default image tag {image:?}: {message}");
            told("InspectFailed", message)
        }
        "ImageInspectError" => {
            let message = format!("Failed to inspect image {image:?}: {message}");
            told("InspectFailed", message)
        }
        _ => failed_pull(whom, image, reason),
    };
    let mut notes = vec![why];
    if !whom.field_path.is_empty() {
        notes.push(told("Failed", format!("Error: {word}")));
    }
    notes
}

/// A pod nothing of which may be started.
fn held(pod: &DesiredPod, reason: &Reason) -> (Wait, Vec<Note>) {
    let whom = match &reason.container {
        Some(name) => container(pod, name),
        None => Involved::pod(pod.key()),
    };
    let wait = (reason.word.clone(), Some(reason.message.clone()), None);
    let note = Note::warning(whom, reason.word.clone(), &reason.message);
    (wait, vec![note])
}

/// A container that keeps ending.
fn crash(pod: &DesiredPod, reason: &Reason) -> Option<(Wait, Vec<Note>)> {
    let name = reason.container.as_deref()?;
    if reason.word != "CrashLoopBackOff" {
        return None;
    }
    let key = pod.key();
    let message = format!(
        "Back-off restarting failed container {name} in pod {}_{}({})",
        key.name,
        key.namespace,
        key.uid.as_str()
    );
    let note = Note::warning(container(pod, name), "BackOff", message);
    let wait = (
        reason.word.clone(),
        reason.container.clone(),
        reason.retry_at,
    );
    Some((wait, vec![note]))
}

/// An image whose pull failed more than once.
fn pull_wait(pod: &DesiredPod, image: &str, state: &ImageState) -> Option<(Wait, Vec<Note>)> {
    let ImageState::Failed(Failure {
        reason,
        times,
        last,
    }) = state
    else {
        return None;
    };
    if *times < 2 || reason.word != "ErrImagePull" {
        return None;
    }
    let spec = pod.spec();
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let made = all.find(|container| container.image.as_deref() == Some(image));
    let whom = match made {
        Some(made) => container(pod, &made.name),
        None => Involved::pod(pod.key()),
    };
    let message = format!("Back-off pulling image {image:?}");
    let mut notes = vec![Note::normal(whom.clone(), "BackOff", message)];
    if made.is_some() {
        notes.push(Note::warning(whom, "Failed", "Error: ImagePullBackOff"));
    }
    let wait = (reason.word.clone(), Some(image.to_owned()), Some(*last));
    Some((wait, notes))
}

/// A time to the millisecond as Go prints it: `312ms`, `1.038s`, `1m2.5s`.
fn in_words(time: Duration) -> String {
    let millis = time.as_millis();
    if millis < 1_000 {
        return match millis {
            0 => "0s".to_owned(),
            millis => format!("{millis}ms"),
        };
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let fraction = format!("{}.{:03}", rest / 1_000, rest % 1_000);
    let seconds = fraction.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}
