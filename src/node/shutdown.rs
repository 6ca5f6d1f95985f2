//! Whether the machine goes down.

use tracing::warn;

use super::systemctl;

/// Whether systemd is stopping the whole machine, to halt or to start again: then `systemctl
/// is-system-running` says `stopping` (systemctl(1)). False where systemd does not run.
pub async fn goes_down() -> bool {
    if !systemctl::booted() {
        return false;
    }
    match systemctl::ask(&["is-system-running"]).await {
        Ok(answer) => answer.stdout.trim_ascii() == b"stopping",
        Err(why) => {
            warn!("{why}, so it is not known whether the machine goes down");
            false
        }
    }
}
