//! Whole-value tests of the statuses.

mod age;
mod daemonset;
pub(crate) mod fixture;
mod node;
mod pod;
mod probes;
mod shown;
