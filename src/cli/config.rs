//! `setlet config`: the merged configuration, without an agent.

use std::io::Write;
use std::path::Path;

use crate::config::Config;

/// Prints the merged configuration with every default.
pub(super) fn config(path: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<()> {
    Ok(out.write_all(Config::load(path)?.to_yaml().as_bytes())?)
}
