//! One archive's way into containerd: pieces from the reading thread into the content store, then
//! the documents, then the images' names, then CRI's word that it has them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::Archive;
use super::error::Problem;
use super::layout::{Blob, Brought, Contents, digest_at};
use super::read::{self, Piece};
use super::store::{self, Present, Store};
use crate::runtime::Runtime;

/// Pieces that wait for containerd.
const QUEUED_PIECES: usize = 2;
/// CRI hears of a new image by an event.
const LISTED: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// Imports an archive and says which images it brings. Names that are `taken` by another archive
/// are left to it, and images that are newer than the archive are left as they are.
pub(super) async fn import(
    runtime: &Runtime,
    archive: &Archive,
    taken: &BTreeMap<String, String>,
) -> Result<Vec<String>, Problem> {
    let channel = runtime.inner.client.channel();
    let lease = format!("setlet-import-{}", Uuid::new_v4());
    let mut store = Store::open(channel.clone(), lease, (runtime.inner.clock)()).await?;
    let imported = import_leased(runtime, &mut store, archive, taken).await;
    store.close().await;
    imported
}

async fn import_leased(
    runtime: &Runtime,
    store: &mut Store,
    archive: &Archive,
    taken: &BTreeMap<String, String>,
) -> Result<Vec<String>, Problem> {
    let mut number = 0;
    let contents = take_in(store, archive, &mut number).await?;
    let Brought { images, documents } = contents.images()?;
    for document in documents {
        number += 1;
        store.put(number, document).await?;
    }
    let present = store::present(runtime.inner.client.channel()).await?;
    let mut brought = Vec::new();
    let mut refused = None;
    for (name, target) in images {
        if let Some(by) = taken.get(&name) {
            refused = Some(Problem::Duplicate {
                name,
                by: by.clone(),
            });
            continue;
        }
        if is_due(present.get(&name), archive.since) {
            store.name(&name, &target).await?;
        }
        brought.push(name);
    }
    if let (true, Some(refused)) = (brought.is_empty(), refused) {
        return Err(refused);
    }
    let mark = format!("{}/{}", archive.print, brought.len());
    for name in &brought {
        listed(runtime, name).await?;
        store.mark(name, &mark).await?;
    }
    Ok(brought)
}

/// Whether a name is to be turned to the archive's image: there is none, or an older one.
fn is_due(present: Option<&Present>, since: i64) -> bool {
    present.is_none_or(|present| present.updated <= since)
}

/// Takes an archive's files into the content store.
async fn take_in(
    store: &mut Store,
    archive: &Archive,
    number: &mut usize,
) -> Result<Contents, Problem> {
    let (sender, mut pieces) = mpsc::channel(QUEUED_PIECES);
    let path = archive.path.clone();
    // Decompressing would hold up the agent's one thread. The thread ends with its receiver.
    tokio::task::spawn_blocking(move || read::read(&path, &sender));
    let mut contents = Contents::default();
    let mut open = None;
    while let Some(piece) = pieces.recv().await {
        match piece? {
            Piece::Document { path, bytes } => drop(contents.documents.insert(path, bytes)),
            Piece::Link { path, target } => drop(contents.links.insert(path, target)),
            Piece::Begin { path, size } => {
                *number += 1;
                let upload = store.begin(*number, size, digest_at(&path)).await?;
                open = Some((path, size, upload));
            }
            Piece::Data(data) => {
                if let Some((_, _, Some(upload))) = &mut open {
                    upload.write(data).await?;
                }
            }
            Piece::End { digest, packing } => {
                let Some((path, size, upload)) = open.take() else {
                    continue;
                };
                if digest_at(&path).is_some_and(|named| named != digest) {
                    return Err(Problem::Digest { path, digest });
                }
                if let Some(upload) = upload {
                    upload.commit(digest.clone(), HashMap::new()).await?;
                }
                let blob = Blob {
                    digest,
                    size,
                    packing,
                };
                contents.blobs.insert(path, blob);
            }
        }
    }
    Ok(contents)
}

/// Waits until CRI has an image, which it hears of by an event.
async fn listed(runtime: &Runtime, name: &str) -> Result<(), Problem> {
    let wait = async {
        loop {
            if let Ok(Some(_)) = runtime.inner.client.image_status(name).await {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LISTED, wait)
        .await
        .map_err(|_| Problem::NotListed {
            name: name.to_owned(),
        })
}
