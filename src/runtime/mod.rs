//! The only module that knows CRI: what a pod is in the runtime's words, and the files it gets.

pub mod cgroup;
pub mod files;
pub mod translate;
