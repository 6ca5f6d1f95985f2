//! Imports the image archives of a directory into containerd, before the first pod that needs one
//! and whenever one appears: [`run_preload`].
//!
//! Docker and OCI archives, plain, gzip or zstd, go through containerd's own services, which every
//! version has; other runtimes have none, and the reasons say so. What is there already is skipped:
//! each image carries the archive it came from in a label, so nothing is remembered elsewhere. An
//! image that is newer than its archive, because it was pulled since, stays. A bad archive, or one for
//! another platform, is named, and refused for as long as it is the same; it holds up no other, nor does
//! a bad image the others of its archive. Which of two archives brings a name they share: the first by
//! name.

mod archives;
mod checked;
mod error;
mod go;
mod import;
mod json;
mod known;
mod layout;
mod members;
mod packing;
mod pax;
mod platform;
mod read;
mod saved;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Runtime;
use super::events::Hint;
use crate::blocking::{Blocking, Lane, Progress, Unanswered};
use crate::model::Reason;
use archives::{Archive, archives};
use error::Problem;
use import::Imported;
use known::{Known, settled};
use store::Present;
pub(super) use tree::{Stored, stored};
use watch::Watches;

/// How often the directory is looked at though no event said so.
const RESCAN: Duration = Duration::from_secs(60);
/// Files that are being written are let come to rest.
const QUIET: Duration = Duration::from_millis(500);
/// One that is written for longer holds up no other.
const RESTLESS: Duration = Duration::from_secs(10);
/// How often a runtime that does not answer is asked again.
const UNREACHABLE: Duration = Duration::from_secs(1);
/// After containerd failed at an import; each time in a row twice as long, up to so often.
const RETRY: Duration = Duration::from_secs(10);
const DOUBLED: u32 = 5;

/// Imports what is in `directory` and what comes into it, until cancelled. `tell` is given the
/// reasons for what could not be imported, whenever they are looked at. Sends [`Hint::Images`] after
/// each import, and once when the archives that were there at the start are through.
pub async fn run_preload(
    runtime: &Runtime,
    blocking: &Blocking,
    directory: PathBuf,
    tell: impl Fn(Vec<Reason>),
    hints: broadcast::Sender<Hint>,
    cancel: CancellationToken,
) {
    let (changed, mut changes) = mpsc::channel(1);
    let mut watches = None;
    let mut imports = Imports {
        runtime,
        blocking,
        hints: &hints,
        known: BTreeMap::new(),
    };
    loop {
        let pass = async {
            let is_containerd = handshake(runtime).await;
            let looked = look(blocking, &directory, watches.take(), &changed).await;
            match looked {
                Ok((archives, watching)) => {
                    watches = Some(watching);
                    imports.pass(&directory, archives, is_containerd).await
                }
                Err(hangs) => (vec![hangs.reason("ImageArchivesUnreadable")], RETRY),
            }
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
            Some(()) = changes.recv() => tokio::select! {
                () = cancel.cancelled() => return,
                () = watch::rest(&mut changes, QUIET, RESTLESS) => {}
            },
        }
    }
}

/// The archives that are there, and watches for changes, which stand before the archives are listed.
async fn look(
    blocking: &Blocking,
    directory: &Path,
    before: Option<Watches>,
    changed: &mpsc::Sender<()>,
) -> Result<(io::Result<Vec<Archive>>, Watches), Unanswered> {
    let (directory, changed) = (directory.to_owned(), changed.clone());
    let look = move |progress: &Progress| {
        let watches = watch::watch(&directory, before, &changed);
        (archives(&directory, progress), watches)
    };
    blocking.run(Lane::own("image archives"), look).await
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

/// Everything that an import needs, and what is known of archives, by their prints.
struct Imports<'a> {
    runtime: &'a Runtime,
    blocking: &'a Blocking,
    hints: &'a broadcast::Sender<Hint>,
    known: BTreeMap<String, Known>,
}

impl Imports<'_> {
    /// Looks at every archive once; the reasons, and when to look again.
    async fn pass(
        &mut self,
        directory: &Path,
        archives: io::Result<Vec<Archive>>,
        is_containerd: Result<(), String>,
    ) -> (Vec<Reason>, Duration) {
        let archives = match archives {
            Ok(archives) => archives,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let why = format!("{}: {error}", directory.display());
                return (vec![Reason::new("ImageArchivesUnreadable", why)], RESCAN);
            }
        };
        let before = self.known.len();
        let is_there = |print: &String| archives.iter().any(|a| a.print == *print);
        self.known.retain(|print, _| is_there(print));
        if self.known.len() < before {
            self.known
                .retain(|_, known| !matches!(known, Known::Taken(_)));
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
        match store::present(
            self.runtime.inner.client.channel(),
            &self.runtime.inner.node,
        )
        .await
        {
            Ok(present) => self.import_all(&archives, &present).await,
            Err(problem) => (vec![problem.reason(&directory.to_string_lossy())], RETRY),
        }
    }

    /// Imports what is not settled, in the order of names. None waits for CRI's word of another.
    async fn import_all(
        &mut self,
        archives: &[Archive],
        present: &BTreeMap<String, Present>,
    ) -> (Vec<Reason>, Duration) {
        let (runtime, blocking) = (self.runtime, self.blocking);
        let mut taken = BTreeMap::new();
        let mut settling = FuturesUnordered::new();
        for archive in archives {
            let known = self.known.get(&archive.print);
            if let Some(now) = settled(archive, known, present) {
                if let Known::Brings(names, _) = &now {
                    taken.extend(names.iter().map(|n| (n.clone(), archive.name.clone())));
                }
                self.known.insert(archive.print.clone(), now);
                continue;
            }
            info!(archive = %archive.path.display(), "imports an image archive");
            let imported = {
                let import = error::guarded(import::import(runtime, blocking, archive, &taken));
                tokio::pin!(import);
                loop {
                    tokio::select! {
                        imported = &mut import => break imported,
                        Some((archive, settled)) = settling.next(), if !settling.is_empty() => {
                            self.note(archive, settled);
                        }
                    }
                }
            };
            match imported {
                Ok(imported) => {
                    let names = imported.names.iter();
                    taken.extend(names.map(|n| (n.clone(), archive.name.clone())));
                    settling.push(async move {
                        let settled = import::settle(runtime, archive, &imported).await;
                        (archive, settled.map(|()| imported))
                    });
                }
                Err(problem) => self.note(archive, Err(problem)),
            }
        }
        while let Some((archive, settled)) = settling.next().await {
            self.note(archive, settled);
        }
        self.said(archives)
    }

    /// Notes how an import ended.
    fn note(&mut self, archive: &Archive, ended: Result<Imported, Problem>) {
        let path = archive.path.to_string_lossy();
        let (names, refused) = match ended {
            Ok(Imported { names, refused, .. }) => {
                info!(archive = %path, images = names.join(" "), "imported");
                self.hints.send(Hint::Images).ok();
                (names, refused)
            }
            Err(problem) => (Vec::new(), vec![problem]),
        };
        let mut reasons: Vec<Reason> = refused.iter().map(|p| p.reason(&path)).collect();
        for reason in &reasons {
            warn!("{reason}");
        }
        let now = if refused.iter().any(Problem::is_containerds) {
            self.later(archive, reasons)
        } else if !names.is_empty() {
            Known::Brings(names, reasons)
        } else if let [Problem::Duplicate { .. }] = refused[..] {
            Known::Taken(reasons.swap_remove(0))
        } else {
            Known::Bad(reasons)
        };
        self.known.insert(archive.print.clone(), now);
    }

    /// That containerd failed at an archive, which is tried again.
    fn later(&self, archive: &Archive, reasons: Vec<Reason>) -> Known {
        let before = match self.known.get(&archive.print) {
            Some(Known::Later { times, .. }) => *times,
            _ => 0,
        };
        let wait = RETRY.saturating_mul(2_u32.saturating_pow(before.min(DOUBLED)));
        let now = Instant::now();
        Known::Later {
            reasons,
            times: before.saturating_add(1),
            again: now.checked_add(wait).unwrap_or(now),
        }
    }

    /// What there is to say, and when to look again.
    fn said(&self, archives: &[Archive]) -> (Vec<Reason>, Duration) {
        let mut pause = RESCAN;
        let mut reasons = Vec::new();
        for archive in archives {
            match self.known.get(&archive.print) {
                Some(Known::Brings(_, refused)) => reasons.extend(refused.clone()),
                Some(Known::Bad(why)) => reasons.extend(why.clone()),
                Some(Known::Taken(reason)) => reasons.push(reason.clone()),
                Some(Known::Later {
                    reasons: why,
                    again,
                    ..
                }) => {
                    pause = pause.min(again.saturating_duration_since(Instant::now()));
                    reasons.extend(why.clone());
                }
                None => {}
            }
        }
        (reasons, pause)
    }
}
