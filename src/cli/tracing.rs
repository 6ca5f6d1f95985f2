//! Where the agent's log goes: to journald when systemd connected standard error to it, with fields
//! and priorities; else to standard error as text.

mod journal;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use journal::{Journal, SOCKET};

/// Starts logging from `level` on: `error`, `warn`, `info`, `debug` or `trace`. What it returns sets
/// another level.
pub(super) fn start(level: &str) -> impl Fn(&str) + use<> {
    let (targets, level) = reload::Layer::new(targets_of(level));
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
    move |to| level.reload(targets_of(to)).unwrap_or_default()
}

/// What is logged at a level. What libraries say of every frame they send helps nobody who asks how
/// the agent is.
fn targets_of(level: &str) -> Targets {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("setlet", level)
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
