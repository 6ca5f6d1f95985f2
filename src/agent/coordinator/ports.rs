//! Host ports between the pods of this node, as far as their specifications tell.

use super::Coordinator;
use crate::agent::ledger::Slot;
use crate::model::{HostPort, Reason};
use crate::plan::ports::{clash, host_ports, to_be_freed};

impl Coordinator {
    /// Why a pod that has not started cannot: a pod of another set has one of its host ports. In a
    /// cluster the scheduler would not bind it (`node(s) didn't have free ports`).
    pub(super) fn port_taken(&self, slot: &Slot) -> Option<Reason> {
        let spec = slot.record.pod.spec.as_ref()?;
        if slot.has_sandbox() || host_ports(spec).is_empty() {
            return None;
        }
        let others = self
            .ledger
            .pods()
            .filter(|other| other.record.set != slot.record.set && other.has_ports());
        let mut clashes = others.filter_map(|other| {
            let port = clash(spec, other.record.pod.spec.as_ref()?)?;
            Some((port, other))
        });
        let (port, other) = clashes.next()?;
        let message = format!("host port {port} belongs to pod {}", other.record.key);
        Some(Reason::new(HostPort::CONFLICT, message))
    }

    /// The host ports that a pod has and the one in whose place it comes does not.
    pub(super) fn ports_to_be_freed(&self, slot: &Slot) -> Vec<HostPort> {
        let mut slots = self.ledger.slots_of(&slot.record.set);
        let old = slots.find(|other| {
            let fact = other.fact();
            fact.uid != slot.record.key.uid && fact.started
        });
        let spec = slot.record.pod.spec.as_ref();
        match (spec, old.and_then(|old| old.record.pod.spec.as_ref())) {
            (Some(new), Some(old)) if !slot.fact().started => to_be_freed(new, old),
            _ => Vec::new(),
        }
    }
}
