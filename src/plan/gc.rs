//! What dead attempts may go: as kubelet, one ended container of a name is kept beside the newest
//! for its log and last state, and a dead sandbox for as long as it holds a container.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{end, is_ready};
use crate::model::{Action, ObservedContainer, ObservedPod, PodMemory, PodPlan};

/// Plans removals, after everything that matters more.
pub(super) fn plan_gc(have: &ObservedPod, memory: &PodMemory, now: Timestamp, plan: &mut PodPlan) {
    if !plan.actions.is_empty() || end::fails_still(memory, now, plan) {
        return;
    }
    let mut by_name: BTreeMap<&str, Vec<&ObservedContainer>> = BTreeMap::new();
    for container in &have.containers {
        by_name
            .entry(container.name.as_str())
            .or_default()
            .push(container);
    }
    for attempts in by_name.values_mut() {
        attempts
            .sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
        let old = attempts
            .iter()
            .skip(2)
            .filter(|container| !container.is_running());
        plan.actions
            .extend(old.map(|container| Action::RemoveContainer {
                id: container.id.clone(),
                container: container.name.clone(),
            }));
    }
    let empty = have.sandboxes.iter().filter(|sandbox| {
        !is_ready(sandbox)
            && have
                .containers
                .iter()
                .all(|container| container.sandbox != sandbox.id)
    });
    plan.actions
        .extend(empty.map(|sandbox| Action::RemoveSandbox {
            id: sandbox.id.clone(),
            ends: None,
        }));
}
