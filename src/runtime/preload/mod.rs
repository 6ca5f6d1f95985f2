//! Imports the image archives of a directory into containerd, before the first pod that needs one
//! and whenever one appears: [`run_preload`].
//!
//! Docker and OCI archives, plain, gzip or zstd, go through containerd's own services, which every
//! version has; other runtimes have none, and the reasons say so. What is there already is skipped:
//! each image carries the archive it came from in a label, so nothing is remembered elsewhere. An
//! image that is newer than its archive, because it was pulled since, stays. A bad archive is
//! named and holds up no other. Which of two archives brings a name they share: the first by name.

mod error;
mod import;
mod layout;
mod read;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Runtime;
use super::events::Hint;
use crate::model::Reason;
use error::Problem;
use store::Present;

/// How often the directory is looked at though no event said so.
const RESCAN: Duration = Duration::from_secs(60);
/// Files that are being written are let come to rest.
const QUIET: Duration = Duration::from_millis(500);
/// How often a runtime that does not answer is asked again.
const UNREACHABLE: Duration = Duration::from_secs(1);
/// After containerd failed at an import.
const RETRY: Duration = Duration::from_secs(10);

/// A file of the directory, and what tells it from one of the same name before or after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Archive {
    name: String,
    path: PathBuf,
    /// Of name, size, inode and time.
    print: String,
    /// When it came here, in seconds.
    since: i64,
}

/// What is known of an archive.
#[derive(Debug, Clone)]
enum Known {
    /// The images it brings.
    Brings(Vec<String>),
    /// What is wrong with it.
    Bad(Reason),
}

/// Imports what is in `directory` and what comes into it, until cancelled. `tell` is given the
/// reasons for what could not be imported, whenever they are looked at. Sends [`Hint::Images`] after
/// each import, and once when the archives that were there at the start are through.
pub async fn run_preload(
    runtime: &Runtime,
    directory: PathBuf,
    tell: impl Fn(Vec<Reason>),
    hints: broadcast::Sender<Hint>,
    cancel: CancellationToken,
) {
    let (changed, mut changes) = mpsc::channel(1);
    let _watcher = watch(&directory, changed);
    let mut known = BTreeMap::new();
    loop {
        let pass = async {
            let is_containerd = handshake(runtime).await;
            pass(runtime, &directory, is_containerd, &mut known, &hints).await
        };
        let (reasons, pause) = tokio::select! {
            () = cancel.cancelled() => return,
            done = pass => done,
        };
        tell(reasons);
        if runtime.inner.preloading.send_replace(false) {
            hints.send(Hint::Images).ok();
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            Some(()) = changes.recv() => {
                // More of them, as long as they come.
                while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
            }
        }
    }
}

/// Events that something changed, where they are to be had; a rescan finds it otherwise.
fn watch(directory: &Path, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the archives is an event, too.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            changed.try_send(()).ok();
        }
    });
    let mut watcher = watcher.ok()?;
    match watcher.watch(directory, RecursiveMode::NonRecursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            debug!(%error, "new image archives are seen at rescans only");
            None
        }
    }
}

/// Waits for the runtime; the name of one that is not containerd is the error.
async fn handshake(runtime: &Runtime) -> Result<(), String> {
    loop {
        match runtime.handshake().await {
            Ok(facts) if facts.is_containerd() => return Ok(()),
            Ok(facts) => return Err(facts.name),
            Err(error) => debug!(%error, "image archives wait for the runtime"),
        }
        tokio::time::sleep(UNREACHABLE).await;
    }
}

/// Looks at every archive once; the reasons, and when to look again.
async fn pass(
    runtime: &Runtime,
    directory: &Path,
    is_containerd: Result<(), String>,
    known: &mut BTreeMap<String, Known>,
    hints: &broadcast::Sender<Hint>,
) -> (Vec<Reason>, Duration) {
    let archives = match archives(directory) {
        Ok(archives) => archives,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let why = format!("{}: {error}", directory.display());
            return (vec![Reason::new("ImageArchivesUnreadable", why)], RESCAN);
        }
    };
    let before = known.len();
    known.retain(|print, _| archives.iter().any(|a| a.print == *print));
    if known.len() < before {
        // Without the archive that is gone, another may be good.
        known.retain(|_, known| matches!(known, Known::Brings(_)));
    }
    if archives.is_empty() {
        return (Vec::new(), RESCAN);
    }
    if let Err(name) = is_containerd {
        let why = format!(
            "{}: image archives can be imported into containerd only, and the runtime is {name}",
            directory.display()
        );
        return (vec![Reason::new("ImageArchivesUnsupported", why)], RESCAN);
    }
    let present = match store::present(runtime.inner.client.channel()).await {
        Ok(present) => present,
        Err(problem) => return (vec![problem.reason(&directory.to_string_lossy())], RETRY),
    };
    import_all(runtime, &archives, &present, known, hints).await
}

/// Imports what is not settled, in the order of names.
async fn import_all(
    runtime: &Runtime,
    archives: &[Archive],
    present: &BTreeMap<String, Present>,
    known: &mut BTreeMap<String, Known>,
    hints: &broadcast::Sender<Hint>,
) -> (Vec<Reason>, Duration) {
    let mut taken = BTreeMap::new();
    let mut pause = RESCAN;
    let mut reasons = Vec::new();
    for archive in archives {
        let before = settled(archive, known.get(&archive.print), present);
        let now = match before {
            Some(known) => known,
            None => match import_one(runtime, archive, &taken).await {
                Ok(names) => {
                    hints.send(Hint::Images).ok();
                    Known::Brings(names)
                }
                Err(problem) => {
                    let reason = problem.reason(&archive.path.to_string_lossy());
                    warn!("{reason}");
                    if problem.is_containerds() {
                        pause = RETRY;
                        reasons.push(reason);
                        continue;
                    }
                    Known::Bad(reason)
                }
            },
        };
        match &now {
            Known::Bad(reason) => reasons.push(reason.clone()),
            Known::Brings(names) => {
                taken.extend(names.iter().map(|n| (n.clone(), archive.name.clone())));
            }
        }
        known.insert(archive.print.clone(), now);
    }
    (reasons, pause)
}

/// What is to be known of an archive without reading it; none when it is to be imported.
fn settled(
    archive: &Archive,
    known: Option<&Known>,
    present: &BTreeMap<String, Present>,
) -> Option<Known> {
    match known {
        Some(Known::Brings(names)) => names
            .iter()
            .all(|name| present.contains_key(name))
            .then(|| Known::Brings(names.clone())),
        Some(bad @ Known::Bad(_)) => Some(bad.clone()),
        None => {
            let mut names = Vec::new();
            let mut count = None;
            for (name, image) in present {
                let label = image.archive.as_deref().and_then(|l| l.rsplit_once('/'));
                if let Some((print, of)) = label
                    && print == archive.print
                {
                    names.push(name.clone());
                    count = of.parse().ok();
                }
            }
            (count == Some(names.len())).then_some(Known::Brings(names))
        }
    }
}

async fn import_one(
    runtime: &Runtime,
    archive: &Archive,
    taken: &BTreeMap<String, String>,
) -> Result<Vec<String>, Problem> {
    info!(archive = %archive.path.display(), "imports an image archive");
    let names = import::import(runtime, archive, taken).await?;
    info!(archive = %archive.path.display(), images = names.join(" "), "imported");
    Ok(names)
}

/// The files of the directory by name; what begins with a dot or ends as a file that is still
/// being written is left alone.
fn archives(directory: &Path) -> io::Result<Vec<Archive>> {
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ignored =
            name.starts_with('.') || [".tmp", ".part", "~"].iter().any(|end| name.ends_with(end));
        // A link's target counts; one that leads nowhere is none.
        let Ok(file) = std::fs::metadata(entry.path()) else {
            continue;
        };
        if ignored || !file.is_file() {
            continue;
        }
        archives.push(Archive {
            print: print(&name, &file),
            path: entry.path(),
            since: file.ctime(),
            name,
        });
    }
    archives.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(archives)
}

/// What an image's label says of the file: short whatever the file's name is.
fn print(name: &str, file: &std::fs::Metadata) -> String {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new_with_prefix(name);
    for number in [file.size(), file.ino(), file.dev()] {
        digest.update(number.to_be_bytes());
    }
    for number in [
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ] {
        digest.update(number.to_be_bytes());
    }
    let text = read::digest_text(digest);
    text.trim_start_matches("sha256:")[..32].to_owned()
}
