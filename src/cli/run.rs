//! `setlet run`: the agent itself.

use std::path::Path;

use anyhow::Context;
use nix::sys::prctl::set_dumpable;
use nix::sys::stat::{Mode, umask};

use crate::config::Config;

/// Runs the agent until it is told to stop.
pub(super) async fn run(path: Option<&Path>) -> anyhow::Result<()> {
    protect()?;
    let config = Config::load_trusted(path)?;
    let set_log_level = super::tracing::start(config.log.level.as_str());
    crate::agent::run(config, path.map(Path::to_owned), Box::new(set_log_level)).await?;
    Ok(())
}

/// Sets what everything the agent makes depends on: modes do not follow the umask it was started
/// with, and no core dump holds a Secret.
fn protect() -> anyhow::Result<()> {
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    set_dumpable(false).context("cannot forbid core dumps")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::prctl::get_dumpable;

    #[test]
    fn no_core_is_dumped_and_files_have_their_usual_modes() {
        protect().expect("done");
        assert!(!get_dumpable().expect("known"));
        assert_eq!(umask(Mode::S_IWGRP | Mode::S_IWOTH).bits(), 0o022);
        set_dumpable(true).expect("done");
    }
}
