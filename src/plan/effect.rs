//! Actions that were answered as done and changed nothing that is seen: each further one waits longer,
//! so that a runtime that answers so is never asked without a pause.

use std::sync::Arc;

use jiff::Timestamp;

use super::{backoff, wait_until};
use crate::model::{Action, Done, ObservedPod, Outcome, PodMemory, PodPlan, Reason, StopKind};

/// Takes in what is seen now: whether the action before has shown, and which containers are gone.
pub fn take_look(memory: &mut PodMemory, have: Option<&ObservedPod>) {
    let same = memory.effect.seen.as_deref() == have;
    match memory.effect.done.take() {
        Some(done) if same && done.shows => {
            let message = format!("\"{}\" was answered as done and changed nothing", done.what);
            let reason = Reason::new("NoEffect", message);
            let before = memory.effect.fruitless.as_ref();
            memory.effect.fruitless = Some(backoff::failed_again(before, reason, done.at));
        }
        _ if same => {}
        _ => memory.effect.fruitless = None,
    }
    if !same {
        memory.effect.seen = have.cloned().map(Arc::new);
    }
    memory.instances.retain(|id, _| {
        let mut containers = have.iter().flat_map(|have| &have.containers);
        containers.any(|container| container.id == *id)
    });
}

/// Takes in that an action was answered; `before` is the memory before that was remembered.
pub(super) fn take_answer(
    memory: &mut PodMemory,
    before: &PodMemory,
    action: &Action,
    outcome: &Outcome,
    now: Timestamp,
) {
    // What failed waits by itself.
    let claimed = !matches!(outcome, Outcome::Failed(_));
    memory.effect.done = claimed.then(|| Done {
        what: action.to_string(),
        shows: is_seen(action) || memory == before,
        at: now,
    });
}

/// Whether an action that is done changes what is seen of the pod; the others change the memory.
fn is_seen(action: &Action) -> bool {
    match action {
        Action::RunSandbox { .. }
        | Action::CreateContainer { .. }
        | Action::StartContainer { .. }
        | Action::RemoveContainer { .. }
        | Action::RemoveSandbox { .. } => true,
        Action::StopContainers { targets } => targets.iter().any(|t| t.kind != StopKind::HookOnly),
        // A dead sandbox looks the same before and after, and what is on the host is not looked at.
        Action::StopSandbox { .. }
        | Action::Teardown { .. }
        | Action::PrepareVolumes { .. }
        | Action::EnsureImage { .. }
        | Action::RecheckImage { .. }
        | Action::CheckPorts { .. }
        | Action::UpdateResources { .. }
        | Action::RunPostStart { .. } => false,
    }
}

/// Lets a plan wait whose last actions changed nothing.
pub(super) fn pause(memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) {
    let Some(fruitless) = &memory.effect.fruitless else {
        return;
    };
    if plan.actions.is_empty() {
        return;
    }
    let at = backoff::retry_at(fruitless, backoff::NO_EFFECT);
    if wait_until(at, now, plan) {
        plan.actions.clear();
        // The first waits are over before anybody reads of them.
        if fruitless.times > 3 {
            plan.reasons.push(fruitless.reason.clone().retried_at(at));
        }
    }
}
