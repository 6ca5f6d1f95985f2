//! Where the agent's log goes: to journald when systemd connected standard error to it, with fields
//! and priorities; else to standard error as text.

mod journal;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use journal::{Journal, SOCKET};

/// Starts logging from `level` on: `error`, `warn`, `info`, `debug` or `trace`.
pub(super) fn start(level: &str) {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    // What libraries say of every frame they send helps nobody who asks how the agent is.
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("setlet", level);
    let registry = tracing_subscriber::registry().with(targets);
    let journal = is_journal()
        .then(|| Journal::connect(Path::new(SOCKET)))
        .and_then(Result::ok);
    // Logging that is already started, as in tests, is left as it is.
    let _ = if let Some(journal) = journal {
        registry.with(journal).try_init()
    } else {
        use std::io::IsTerminal;
        let text = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false);
        registry.with(text).try_init()
    };
}

/// Whether `JOURNAL_STREAM` names the file that standard error is (systemd.exec(5)).
fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream.to_str() == Some(format!("{}:{}", stderr.dev(), stderr.ino()).as_str())
}
