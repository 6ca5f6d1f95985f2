//! Runs manifests of other projects, read in place where they lie beside the repository.

use std::path::Path;

use crate::Report;

/// Runs every document that has an answer.
pub fn run(_root: &Path, _report: &mut Report) {}
