//! Events: what is told of pods as they are brought about, how equal ones are added up, and the
//! `core/v1` objects made of them.
//!
//! Pure, with the time passed in: nothing here keeps a clock or a channel. Reasons, types and
//! messages are kubelet v1.36's (`pkg/kubelet/events/event.go` names the words).

mod log;
mod object;
mod pod;
#[cfg(test)]
mod tests;

pub use log::{expire, next_expiry, record};
pub use object::event;
pub use pod::{Chronicle, unwell};
