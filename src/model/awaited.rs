//! What is known of this machine's paths, sockets and units that sets wait for.

use std::collections::BTreeMap;

use crate::api::Condition;

/// What was found of each condition that is waited for; one that was not looked at is not in it.
pub type HostConditions = BTreeMap<Condition, Found>;

/// How one condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is met.
    Met,
    /// It is not met now, because of this.
    NotYet(String),
}
