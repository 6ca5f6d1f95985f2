//! `setlet run`: the agent itself.

use std::path::Path;

use crate::config::Config;

/// Runs the agent until it is told to stop.
pub(super) async fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    super::tracing::start(config.log.level.as_str());
    crate::agent::run(config, path.map(Path::to_owned)).await?;
    Ok(())
}
