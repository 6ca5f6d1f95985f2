//! Reads an archive from its beginning to its end: unpacks gzip and zstd, walks the tar, computes
//! digests, and passes on what it finds piece by piece. Blocks, so it has a thread of its own.
//!
//! Holds one piece at a time in memory, besides JSON documents, which the reader of the pieces keeps.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::error::Problem;

/// Bytes passed on at a time.
const PIECE: usize = 1 << 20;
/// A JSON document of an image is smaller than this; containerd's own limit for manifests.
const DOCUMENT: u64 = 8 << 20;
/// The JSON documents of one archive together.
const DOCUMENTS: u64 = 64 << 20;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How bytes are packed, told by how they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// What is found in an archive, in its order.
#[derive(Debug)]
pub(super) enum Piece {
    /// A JSON document.
    Document { path: String, bytes: Vec<u8> },
    /// Anything else begins.
    Begin { path: String, size: u64 },
    /// It goes on.
    Data(Vec<u8>),
    /// It ends.
    End { digest: String, packing: Packing },
    /// Another name of something in the archive.
    Link { path: String, target: String },
}

/// Where pieces go; a receiver that is gone ends the reading.
pub(super) type Pieces = mpsc::Sender<Result<Piece, Problem>>;

/// Reads an archive; an error is the last that is sent.
pub(super) fn read(archive: &Path, pieces: &Pieces) {
    let read = File::open(archive)
        .map_err(Problem::Read)
        .and_then(|file| unpack(BufReader::with_capacity(PIECE, file)))
        .and_then(|bytes| walk(bytes, pieces));
    if let Err(problem) = read {
        // Nobody waits for it any more.
        pieces.blocking_send(Err(problem)).ok();
    }
}

fn packing(head: &[u8]) -> Packing {
    if head.starts_with(&GZIP) {
        Packing::Gzip
    } else if head.starts_with(&ZSTD) {
        Packing::Zstd
    } else {
        Packing::Plain
    }
}

fn unpack(mut file: BufReader<File>) -> Result<Box<dyn Read>, Problem> {
    let head = file.fill_buf().map_err(Problem::Read)?;
    Ok(match packing(head) {
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(Frames {
            source: file,
            decoder: FrameDecoder::new(),
        }),
        Packing::Plain => Box::new(file),
    })
}

/// zstd data of any number of frames, which the decoder takes one by one.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame, where there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                let told = self.decoder.get_checksum_from_data();
                if told.is_some() && told != self.decoder.get_calculated_checksum() {
                    return Err(io::Error::other("a zstd frame's checksum is wrong"));
                }
                if !self.begin()? {
                    return Ok(0);
                }
            } else {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
        }
        self.decoder.read(buffer)
    }
}

fn walk(bytes: Box<dyn Read>, pieces: &Pieces) -> Result<(), Problem> {
    let mut archive = tar::Archive::new(bytes);
    let mut documents = 0;
    for entry in archive.entries().map_err(Problem::Tar)? {
        let mut entry = entry.map_err(Problem::Tar)?;
        let kind = entry.header().entry_type();
        let Some(path) = entry.path().ok().and_then(|path| plain(&path)) else {
            continue;
        };
        let goes_on = if kind.is_file() {
            file(&mut entry, path, &mut documents, pieces)?
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name().ok().flatten();
            let target = target.and_then(|target| {
                let beside = Path::new(&path).parent().unwrap_or(Path::new(""));
                match kind.is_symlink() {
                    true => plain(&beside.join(target)),
                    false => plain(&target),
                }
            });
            target.is_none_or(|target| send(pieces, Piece::Link { path, target }))
        } else {
            true
        };
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// Passes on one file; false when nobody wants more.
fn file(
    entry: &mut tar::Entry<'_, Box<dyn Read>>,
    path: String,
    documents: &mut u64,
    pieces: &Pieces,
) -> Result<bool, Problem> {
    let size = entry.size();
    let mut first = next(entry, size, &path)?;
    let is_document = matches!(first.first(), Some(b'{' | b'[')) && !path.ends_with(".tar");
    if is_document {
        let left = size - first.len() as u64;
        if size <= DOCUMENT && *documents + size <= DOCUMENTS {
            first.extend(read_rest(entry, left, &path)?);
            *documents += size;
            return Ok(send(pieces, Piece::Document { path, bytes: first }));
        }
    }
    let packing = packing(&first);
    let mut digest = Sha256::new();
    let mut left = size;
    let name = path.clone();
    if !send(pieces, Piece::Begin { path, size }) {
        return Ok(false);
    }
    let mut data = first;
    while !data.is_empty() {
        digest.update(&data);
        left -= data.len() as u64;
        if !send(pieces, Piece::Data(data)) {
            return Ok(false);
        }
        data = next(entry, left, &name)?;
    }
    let digest = digest_text(digest);
    Ok(send(pieces, Piece::End { digest, packing }))
}

/// The next piece of a file of which that much is left; empty at its end.
fn next(entry: &mut impl Read, left: u64, path: &str) -> Result<Vec<u8>, Problem> {
    read_rest(entry, left.min(PIECE as u64), path)
}

fn read_rest(entry: &mut impl Read, wanted: u64, path: &str) -> Result<Vec<u8>, Problem> {
    let mut data = Vec::with_capacity(usize::try_from(wanted).unwrap_or(PIECE).min(PIECE));
    let read = entry.take(wanted).read_to_end(&mut data);
    read.map_err(Problem::Tar)?;
    if data.len() as u64 == wanted {
        Ok(data)
    } else {
        Err(Problem::CutShort {
            path: path.to_owned(),
        })
    }
}

fn send(pieces: &Pieces, piece: Piece) -> bool {
    pieces.blocking_send(Ok(piece)).is_ok()
}

/// `sha256:` and the digest in hexadecimal.
pub(super) fn digest_text(digest: Sha256) -> String {
    let hex: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// A path without `.` and `..`; none for one that leads out of the archive.
fn plain(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}
