//! Questions to systemd, through `systemctl`.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// A systemd that does not answer for this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether systemd runs this machine; looks where its own `sd_booted` does.
pub(super) fn booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What `systemctl` answers, whatever its exit status.
///
/// # Errors
/// In words, why there is no answer.
pub(super) async fn ask(arguments: &[&str]) -> Result<Output, String> {
    let asked = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| format!("systemctl cannot be run: {error}")),
        Err(_) => Err("systemctl does not answer".to_owned()),
    }
}
