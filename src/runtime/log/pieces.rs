//! Opens all files of a log at once: the rotated ones, compressed or not, and the one that grows.
//!
//! Opened together they stay readable although they are rotated, compressed and removed meanwhile,
//! and each line is in exactly one of them. Never waits for a log to grow and never writes. All of it
//! blocks: it is for the threads of file work.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;

use super::rotated::{self, Form, Rotated, Stamp};
use crate::blocking::Progress;
use crate::files::{self, Links};
use crate::model::time::later;

/// How much is read at a time.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// How often opening is begun again when files changed meanwhile.
const ATTEMPTS: usize = 20;
/// The pause before that: a rotation takes a few milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

type Decoder = MultiGzDecoder<BufReader<File>>;

/// A file's bytes.
#[derive(Debug)]
pub(super) enum Input {
    /// As the runtime wrote them.
    Plain(File),
    /// Compressed.
    Gzip {
        decoder: Box<Decoder>,
        /// At the end, or where it cannot be read any further.
        ended: bool,
    },
}

/// One file of a log, opened.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its bytes.
    pub input: Input,
    /// For messages.
    path: PathBuf,
    /// As it was when it was opened.
    meta: Metadata,
    /// So many lines at its beginning are not wanted.
    pub skip: usize,
}

/// The files of a log.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Oldest first; the last is the log itself, where that is there.
    pub files: VecDeque<Piece>,
    /// The newest rotation before the log itself was begun.
    pub newest: Option<Stamp>,
}

/// Where to begin.
#[derive(Debug)]
pub(super) enum From {
    /// With the oldest.
    Beginning,
    /// After this file, which has been read, and was begun after that rotation.
    After(Box<Metadata>, Option<Stamp>),
}

impl Input {
    fn gzip(file: File) -> Self {
        let file = BufReader::with_capacity(CHUNK_BYTES, file);
        Self::Gzip {
            decoder: Box::new(MultiGzDecoder::new(file)),
            ended: false,
        }
    }
}

impl Piece {
    fn new(file: File, path: PathBuf, form: Form) -> io::Result<Self> {
        let meta = file.metadata()?;
        let input = match form {
            Form::Gzip => Input::gzip(file),
            Form::Plain | Form::Unfinished => Input::Plain(file),
        };
        Ok(Self {
            input,
            path,
            meta,
            skip: 0,
        })
    }

    /// Appends what comes next; 0 at the end.
    pub fn read(&mut self, to: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.input {
            Input::Plain(file) => {
                let start = to.len();
                to.resize(start + CHUNK_BYTES, 0);
                let read = file.read(&mut to[start..]);
                to.truncate(start + read.as_ref().copied().unwrap_or(0));
                read
            }
            Input::Gzip { ended: true, .. } => Ok(0),
            Input::Gzip { decoder, ended } => {
                // What was written later is worth more than an end here.
                let chunk = decode(decoder).unwrap_or_else(|error| {
                    tracing::warn!(path = %self.path.display(), %error, "a compressed log is damaged");
                    Vec::new()
                });
                *ended = chunk.is_empty();
                to.extend_from_slice(&chunk);
                Ok(chunk.len())
            }
        }
    }

    /// Goes back to the beginning of a compressed file.
    pub fn rewind(&mut self) -> io::Result<()> {
        if let Input::Gzip { decoder, .. } = &mut self.input {
            let mut file = decoder.get_ref().get_ref().try_clone()?;
            file.rewind()?;
            self.input = Input::gzip(file);
        }
        Ok(())
    }

    /// Whether everything in it was written before a moment.
    pub fn is_older_than(&self, moment: Timestamp) -> bool {
        let modified = self.meta.modified().ok();
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        // Lines are stamped a little before they are written, files with a coarser clock.
        modified.is_some_and(|time| later(time, Duration::from_secs(1)) < moment)
    }

    /// What the file is now.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.input {
            Input::Plain(file) => file.metadata(),
            Input::Gzip { .. } => Ok(self.meta.clone()),
        }
    }
}

fn decode(decoder: &mut Decoder) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let read = decoder.take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
    match read {
        // A damaged file is read as far as it can be; what is broken shows the next time.
        Err(_) if !chunk.is_empty() => Ok(chunk),
        read => read.map(|_| chunk),
    }
}

/// Whether two are the same file.
pub(super) fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Opens the files of the log at a path.
///
/// # Errors
/// `NotFound` when there is none; when one cannot be read; and when it was asked to stop.
pub(super) fn open(path: &Path, from: &From, progress: &Progress) -> io::Result<Pieces> {
    progress.begin(path.display().to_string())?;
    for _ in 1..ATTEMPTS {
        if let (pieces, Steady::Yes) = open_once(path, from)? {
            return Ok(pieces);
        }
        progress.step()?;
        std::thread::sleep(PAUSE);
    }
    // A rotation that was cut short: what is there is all there is.
    let (pieces, _) = open_once(path, from)?;
    if pieces.files.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(pieces)
}

/// Whether the files were the same before and after they were opened.
enum Steady {
    Yes,
    No,
}

fn open_once(path: &Path, from: &From) -> io::Result<(Pieces, Steady)> {
    let growing = open_file(path)?;
    let list = rotated::list(path)?;
    let mut steady = Steady::Yes;
    let mut files = VecDeque::new();
    for (file, is_first) in wanted(path, &list, from) {
        // Between listing and opening a file may have been compressed.
        let forms = [file.form, Form::Gzip];
        let mut opened = None;
        for form in forms {
            let path = Rotated::new(file.stamp, form).path(path);
            if opened.is_none()
                && let Some(file) = open_file(&path)?
            {
                opened = Some(Piece::new(file, path, form)?);
            }
        }
        match opened {
            Some(piece) => files.push_back(piece),
            // The oldest may be removed at any time.
            None if is_first => {}
            None => steady = Steady::No,
        }
    }
    let newest = list.last().map(|file| file.stamp);
    match growing {
        Some(file) => {
            let piece = Piece::new(file, path.to_owned(), Form::Plain)?;
            let named = std::fs::symlink_metadata(path);
            if !named.is_ok_and(|named| is_same(&named, &piece.meta)) {
                steady = Steady::No;
            }
            files.push_back(piece);
        }
        None if list.is_empty() => return Err(io::ErrorKind::NotFound.into()),
        None => steady = Steady::No,
    }
    Ok((Pieces { files, newest }, steady))
}

fn open_file(path: &Path) -> io::Result<Option<File>> {
    match files::open(path, Links::Refuse) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rotated files to be opened, each once, and whether it is the oldest there is.
fn wanted(path: &Path, list: &[Rotated], from: &From) -> Vec<(Rotated, bool)> {
    let mut files: Vec<Rotated> = list.to_vec();
    files.retain(|file| file.form != Form::Unfinished);
    // Plain is before compressed.
    files.dedup_by_key(|file| file.stamp);
    let oldest = files.first().map(|file| file.stamp);
    if let From::After(read, begun_after) = from {
        files.retain(|file| begun_after.is_none_or(|stamp| file.stamp > stamp));
        let is_read = |file: &Rotated| {
            let meta = std::fs::symlink_metadata(file.path(path));
            meta.is_ok_and(|meta| is_same(&meta, read) || is_compressed_of(file, &meta, read))
        };
        if let Some(index) = files.iter().position(is_read) {
            files.drain(..=index);
        }
    }
    files
        .into_iter()
        .map(|file| (file, Some(file.stamp) == oldest))
        .collect()
}

/// A compressed file has the time of the one it was made of.
fn is_compressed_of(file: &Rotated, meta: &Metadata, read: &Metadata) -> bool {
    let time = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
    file.form == Form::Gzip && time(meta) == time(read)
}
