//! One archive's way into containerd: a survey of what is in it, pieces from the reading thread into
//! the content store, then the documents, then the layers unpacked, then the images' names, and last
//! CRI's word that it has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::archives::Archive;
use super::error::{Problem, while_doing};
use super::layout::{Brought, Choice, choose};
use super::platform::Platform;
use super::read::{self, Bounds, Piece};
use super::store::{self, Present, Store};
use crate::blocking::{Blocking, Progress};
use crate::runtime::Runtime;

/// Pieces that wait for containerd.
const QUEUED_PIECES: usize = 2;
/// How soon a piece is tried again that containerd was not ready for.
const FULL: Duration = Duration::from_millis(2);
/// CRI hears of a new image by an event.
const LISTED: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// What was imported, and is yet to be listed by CRI.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// Full names.
    pub names: Vec<String>,
    /// Those of them that the import made.
    pub brought: BTreeSet<String>,
    /// What in the archive was not.
    pub refused: Vec<Problem>,
}

impl Imported {
    /// Where nothing was imported, why.
    fn unless_empty(mut self) -> Result<Self, Problem> {
        if self.names.is_empty() && !self.refused.is_empty() {
            return Err(self.refused.swap_remove(0));
        }
        Ok(self)
    }

    /// Notes whether a name was made by this import, or one before it.
    fn note(&mut self, name: &str, made: bool, present: &BTreeMap<String, Present>) {
        if made || present.get(name).is_some_and(|present| present.brought) {
            self.brought.insert(name.to_owned());
        }
    }
}

/// Imports an archive and says which images it brings. Names that are `taken` by another archive
/// are left to it, and images that are newer than the archive are left as they are.
pub(super) async fn import(
    runtime: &Runtime,
    blocking: &Blocking,
    archive: &Archive,
    taken: &BTreeMap<String, String>,
) -> Result<Imported, Problem> {
    let lane = format!("image archive {}", archive.path.display());
    let path = archive.path.clone();
    let surveyed = blocking.run(lane.clone(), move |progress| survey(path, progress));
    let (file, choice) = surveyed.await??;
    let channel = runtime.inner.client.channel();
    let mut store = Store::open(channel, &runtime.inner.node, crate::clock::wall()).await?;
    let read = Reading {
        blocking,
        lane,
        path: archive.path.clone(),
        file,
    };
    let imported = import_leased(runtime, &mut store, archive, read, choice, taken).await;
    store.close().await;
    imported
}

/// A file that is read on a thread.
struct Reading<'a> {
    blocking: &'a Blocking,
    lane: String,
    path: PathBuf,
    file: File,
}

fn survey(path: PathBuf, progress: &Progress) -> Result<(File, Choice), Problem> {
    let file = read::open(&path)?;
    let step = || progress.step().map_err(Problem::Stopped);
    let survey = read::survey(&file, &path, &Bounds::USUAL, &step)?;
    let choice = choose(&survey, &Platform::here())?;
    Ok((file, choice))
}

async fn import_leased(
    runtime: &Runtime,
    store: &mut Store,
    archive: &Archive,
    read: Reading<'_>,
    choice: Choice,
    taken: &BTreeMap<String, String>,
) -> Result<Imported, Problem> {
    let digests = take_in(store, read, &choice).await?;
    let Brought {
        images,
        documents,
        refused,
    } = choice.finish(&digests)?;
    for document in documents {
        store.put(document).await?;
    }
    let channel = runtime.inner.client.channel();
    let present = store::present(channel.clone(), &runtime.inner.node).await?;
    let snapshotter = runtime.inner.client.snapshotter().await;
    let snapshotter = snapshotter.map_err(|e| while_doing("asking for the snapshotter")(e))?;
    let now = crate::clock::wall().as_second();
    let mut imported = Imported {
        refused,
        ..Imported::default()
    };
    for (name, image) in images {
        if let Some(by) = taken.get(&name) {
            let by = by.clone();
            imported.refused.push(Problem::Duplicate { name, by });
            continue;
        }
        if let Some(snapshotter) = &snapshotter {
            let unpacked = image
                .layers
                .unpack(channel.clone(), snapshotter, store.lease());
            if let Err(source) = unpacked.await {
                // The others may be as good as any.
                imported.refused.push(Problem::Unpack { name, source });
                continue;
            }
        }
        if is_due(present.get(&name), archive.since, now) {
            let kind = (image.media_type.as_str(), image.size);
            let made = store.name(&name, &image.digest, kind).await?;
            imported.note(&name, made, &present);
        }
        imported.names.push(name);
        for (name, (media_type, size)) in image.digests {
            let digest = name.rsplit_once('@').map_or("", |(_, digest)| digest);
            if !taken.contains_key(&name) && !imported.names.contains(&name) {
                let made = store.name(&name, digest, (&media_type, size)).await?;
                imported.note(&name, made, &present);
                imported.names.push(name);
            }
        }
    }
    imported.unless_empty()
}

/// Whether a name is to be turned to the archive's image: there is none, or an older one, or one from a
/// time when the clock was ahead. All three in seconds since the epoch.
fn is_due(present: Option<&Present>, since: i64, now: i64) -> bool {
    present.is_none_or(|present| present.updated <= since || present.updated > now)
}

/// Takes the files that are wanted into the content store; their digests by their numbers.
async fn take_in(
    store: &mut Store,
    read: Reading<'_>,
    choice: &Choice,
) -> Result<BTreeMap<usize, String>, Problem> {
    let wanted: BTreeSet<usize> = choice.wanted.keys().copied().collect();
    let (sender, mut pieces) = mpsc::channel(QUEUED_PIECES);
    let Reading {
        blocking,
        lane,
        path,
        file,
    } = read;
    // Decompressing would hold up the agent's one thread.
    let reading = blocking.run(lane, move |progress| {
        let step = || progress.step().map_err(Problem::Stopped);
        let mut pass_on = |piece| pass_on(piece, &sender, progress);
        read::deliver(&file, &path, &Bounds::USUAL, &wanted, &step, &mut pass_on)
    });
    let storing = keep(store, &mut pieces, choice);
    // Where containerd fails, nobody needs the rest of the file; dropped, its reading ends.
    tokio::pin!(reading);
    tokio::pin!(storing);
    tokio::select! {
        digests = &mut storing => {
            let digests = digests?;
            reading.await??;
            Ok(digests)
        }
        read = &mut reading => {
            read??;
            storing.await
        }
    }
}

/// Writes pieces as they come.
async fn keep(
    store: &mut Store,
    pieces: &mut mpsc::Receiver<Piece>,
    choice: &Choice,
) -> Result<BTreeMap<usize, String>, Problem> {
    let mut digests = BTreeMap::new();
    let mut open = None;
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Begin { number, size } => {
                let named = choice.wanted.get(&number).cloned().unwrap_or_default();
                let upload = store.begin(size, named.0.clone()).await?;
                open = Some((number, named, upload));
            }
            Piece::Data(data) => {
                if let Some((_, _, Some(upload))) = &mut open {
                    upload.write(data).await?;
                }
            }
            Piece::End { digest } => {
                let Some((number, (named, path), upload)) = open.take() else {
                    continue;
                };
                if named.is_some_and(|named| named != digest) {
                    return Err(Problem::Digest { path, digest });
                }
                if let Some(upload) = upload {
                    upload.commit(digest.clone(), HashMap::new()).await?;
                }
                digests.insert(number, digest);
            }
        }
    }
    Ok(digests)
}

/// Gives a piece to whoever stores it, for as long as that takes: containerd may be slow.
fn pass_on(piece: Piece, to: &mpsc::Sender<Piece>, progress: &Progress) -> Result<(), Problem> {
    let mut piece = Some(piece);
    while let Some(next) = piece.take() {
        progress.step()?;
        match to.try_send(next) {
            Ok(()) => {}
            Err(TrySendError::Full(next)) => {
                piece = Some(next);
                std::thread::sleep(FULL);
            }
            // The end of it is said elsewhere.
            Err(TrySendError::Closed(_)) => return Err(Problem::Stopped(crate::blocking::Stopped)),
        }
    }
    Ok(())
}

/// Waits until CRI has the images, which it hears of by an event, and notes where they came from.
pub(super) async fn settle(
    runtime: &Runtime,
    archive: &Archive,
    imported: &Imported,
) -> Result<(), Problem> {
    let mark = format!("{}/{}", archive.print, imported.names.len());
    for name in &imported.names {
        listed(runtime, name).await?;
        let node = runtime.inner.node.as_str();
        let node = imported.brought.contains(name).then_some(node);
        store::mark(runtime.inner.client.channel(), name, &mark, node).await?;
    }
    Ok(())
}

async fn listed(runtime: &Runtime, name: &str) -> Result<(), Problem> {
    let mut failure = None;
    let wait = async {
        loop {
            match runtime.inner.client.image_status(name).await {
                Ok(Some(_)) => return,
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(LISTED, wait).await.is_ok() {
        return Ok(());
    }
    let Some(error) = failure else {
        let name = name.to_owned();
        return Err(Problem::NotListed { name });
    };
    let status = error.status().cloned();
    let status = status.unwrap_or_else(|| tonic::Status::unknown(error.to_string()));
    Err(while_doing("listing an image")(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_from_a_time_to_come_is_not_newer() {
        let image = |updated| Present {
            updated,
            archive: None,
            brought: false,
        };
        let is_due = |updated| is_due(Some(&image(updated)), 50, 100);
        assert_eq!(
            [49, 50, 51, 100, 101].map(is_due),
            [true, true, false, false, true]
        );
        assert!(super::is_due(None, 50, 100));
    }
}
