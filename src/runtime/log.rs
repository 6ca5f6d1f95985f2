//! Reads container logs as the runtime writes them, whole, from the end, or as they grow, across
//! rotated and compressed files; and rotates them ([`rotation`]).
//!
//! Reading never writes, and all that touches files is done on a thread, in a lane of the log's own. Follows across rotation: when another file takes the path's place, the old
//! one is read to its end first, then every file that was rotated in between. As `kubectl logs`
//! (kubelet's pkg/kubelet/kuberuntime/logs), except that the parts of a long line are joined before
//! they count for `tail`.
//!
//! Differs: kubelet reads the newest file only, so that what was rotated is out of reach.

mod hand;
mod parse;
mod pieces;
mod retention;
mod rotated;
pub mod rotation;
mod tail;
mod watches;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use hand::Hand;
use parse::Ends;
pub use parse::{Line, Source};
pub(in crate::runtime) use parse::{MAX_PREFIX_BYTES, last_lines};
pub use watches::Watches;

use crate::blocking::Blocking;

/// Where inotify does not work, growth is looked for this often.
const POLL: Duration = Duration::from_millis(250);
/// Where it works, an event that was lost costs this much.
const WATCHED_POLL: Duration = Duration::from_secs(5);
/// So much of a line of the file is kept until its end is read; what is longer goes on in pieces.
const MAX_REST_BYTES: usize = 256 << 10;
/// After a rotation the runtime still empties its buffers into the old file for so long.
const SETTLE: Duration = Duration::from_millis(20);

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only the last so many lines.
    pub tail: Option<usize>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Go on at the end as the log grows, until this is cancelled (the container has ended) and
    /// what was written before is read.
    pub follow: Option<CancellationToken>,
    /// What tells that the log grows, shared by all who follow.
    pub watches: Watches,
    /// The threads that read.
    pub blocking: Blocking,
}

/// Reads the log at a path, line by line. The stream ends at the end of the log, or as
/// [`Options::follow`] says; dropping it ends everything it holds.
///
/// # Errors
/// Items are errors when the log cannot be opened (`NotFound` where there is none) or read, or its
/// filesystem does not answer; the stream ends after one.
pub fn read(path: PathBuf, options: Options) -> impl Stream<Item = io::Result<Line>> + Send {
    try_unfold(Start::New(path, options), |state| async move {
        let mut reader = match state {
            Start::New(path, options) => Reader::open(path, options).await?,
            Start::Open(reader) => reader,
        };
        let line = reader.next().await?;
        Ok(line.map(|line| (line, Start::Open(reader))))
    })
}

enum Start {
    New(PathBuf, Options),
    Open(Box<Reader>),
}

struct Reader {
    path: PathBuf,
    options: Options,
    hand: Hand,
    /// The file that is read; `None` only while it is, and when its filesystem did not answer.
    now: Option<pieces::Piece>,
    /// So many lines that come next are not wanted.
    skip: usize,
    /// The files after it.
    files: VecDeque<pieces::Piece>,
    /// The newest rotation before the newest of these files was begun.
    newest: Option<rotated::Stamp>,
    watch: Option<watches::Watch>,
    /// Read, and not yet a whole line of the file: less than [`MAX_REST_BYTES`] and a chunk.
    rest: Vec<u8>,
    cutter: parse::Cutter,
    joiner: parse::Joiner,
    lines: VecDeque<Line>,
    /// The file has been seen to be replaced, or the container to have ended: after one more look
    /// for what was written before that, this file is done.
    last_look: bool,
}

/// What comes after the end of a file.
enum After {
    /// More of it, perhaps.
    Look,
    /// Nothing.
    End,
}

impl Reader {
    async fn open(path: PathBuf, options: Options) -> io::Result<Box<Self>> {
        let hand = Hand::new(options.blocking.clone(), &path);
        // Watching begins before reading, so that nothing written in between is missed.
        let watch = match options.follow {
            Some(_) => options.watches.watch(&path, &options.blocking).await,
            None => None,
        };
        let (at, since, tail) = (path.clone(), options.since, options.tail);
        let opened = hand.run(move |on| {
            let mut opened = pieces::open(&at, &pieces::From::Beginning, on)?;
            let files = &mut opened.files;
            if let Some(since) = since {
                while files.len() > 1 && files[0].is_older_than(since) {
                    files.pop_front();
                }
            }
            if let Some(count) = tail {
                tail::cut(files, count, on)?;
            }
            Ok(opened)
        });
        let pieces::Pieces { mut files, newest } = opened.await?;
        let now = files.pop_front().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Self {
            path,
            options,
            hand,
            skip: now.skip,
            now: Some(now),
            files,
            newest,
            watch,
            rest: Vec::new(),
            cutter: parse::Cutter::default(),
            joiner: parse::Joiner::default(),
            lines: VecDeque::new(),
            last_look: false,
        }))
    }

    async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.read_chunk().await? {
                continue;
            }
            let after = if self.files.is_empty() {
                self.at_the_end().await?
            } else {
                self.go_on().await;
                After::Look
            };
            if let After::End = after {
                return Ok(self.finish());
            }
        }
    }

    /// At the end of the last file that there was: waits for more, or for a newer file.
    async fn at_the_end(&mut self) -> io::Result<After> {
        let Some(until) = self.options.follow.clone() else {
            return Ok(After::End);
        };
        let replaced = self.is_replaced().await?;
        match (replaced || until.is_cancelled(), self.last_look) {
            (true, false) => {
                tokio::time::sleep(SETTLE).await;
                self.last_look = true;
            }
            (true, true) if replaced => self.find_newer().await?,
            (true, true) => return Ok(After::End),
            (false, _) => self.wait(&until).await,
        }
        Ok(After::Look)
    }

    /// Goes to the next file. The last but one was rotated perhaps just now.
    async fn go_on(&mut self) {
        if self.files.len() == 1 && !self.last_look {
            tokio::time::sleep(SETTLE).await;
            self.last_look = true;
            return;
        }
        self.last_look = false;
        if let Some(next) = self.files.pop_front() {
            let rest = std::mem::take(&mut self.rest);
            self.take(&rest, Ends::Here);
            self.skip = next.skip;
            self.now = Some(next);
        }
    }

    /// Reads on; `false` at the end of the file.
    async fn read_chunk(&mut self) -> io::Result<bool> {
        let start = self.rest.len();
        let read = self.with_file(|file, _| {
            let mut chunk = Vec::new();
            file.read(&mut chunk).map(|_| chunk)
        });
        let chunk = read.await?;
        let count = chunk.len();
        self.rest.extend_from_slice(&chunk);
        let Some(end) = self.rest[start..].iter().rposition(|b| *b == b'\n') else {
            if self.rest.len() >= MAX_REST_BYTES {
                let piece = std::mem::take(&mut self.rest);
                self.take(&piece, Ends::Later);
            }
            return Ok(count > 0);
        };
        let rest = self.rest.split_off(start + end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        for line in whole.split_inclusive(|b| *b == b'\n') {
            self.take(line.strip_suffix(b"\n").unwrap_or(line), Ends::Here);
        }
        Ok(true)
    }

    fn take(&mut self, line: &[u8], ends: Ends) {
        let Some(entry) = self.cutter.cut(line, ends) else {
            return;
        };
        if self.skip > 0 {
            self.skip -= usize::from(!entry.partial);
            return;
        }
        let line = self.joiner.push(&entry);
        let since = self.options.since;
        self.lines
            .extend(line.filter(|l| since.is_none_or(|since| l.time >= since)));
    }

    /// What is left when nothing more will come: an entry without its newline, parts without an end.
    fn finish(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.rest);
        self.take(&rest, Ends::Here);
        let unfinished = self.joiner.finish();
        self.lines.extend(unfinished);
        self.lines.pop_front()
    }

    /// Does something with the file that is read, and with the log's path.
    async fn with_file<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut pieces::Piece, &Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let mut file = self.now.take().ok_or(io::ErrorKind::NotFound)?;
        let path = self.path.clone();
        let done = self.hand.run(move |_| {
            let done = work(&mut file, &path);
            Ok((file, done))
        });
        let (file, done) = done.await?;
        self.now = Some(file);
        done
    }

    async fn is_replaced(&mut self) -> io::Result<bool> {
        let look = |file: &mut pieces::Piece, path: &Path| {
            let (Ok(ours), Ok(named)) = (file.metadata(), path.symlink_metadata()) else {
                // Nothing is at the path, as in the middle of a rotation: what is open is all there is.
                return Ok(false);
            };
            Ok(!pieces::is_same(&ours, &named))
        };
        self.with_file(look).await
    }

    /// Opens the files that came after the one that was read.
    async fn find_newer(&mut self) -> io::Result<()> {
        let read = self.with_file(|file, _| file.metadata()).await?;
        let from = pieces::From::After(Box::new(read), self.newest);
        let path = self.path.clone();
        let newer = self.hand.run(move |on| pieces::open(&path, &from, on));
        match newer.await {
            Ok(newer) => {
                self.files = newer.files;
                self.newest = newer.newest;
                Ok(())
            }
            // The newest is being rotated: it is looked for again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.last_look = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn wait(&mut self, until: &CancellationToken) {
        let changed = async {
            match &mut self.watch {
                Some(watch) => {
                    let _ = tokio::time::timeout(WATCHED_POLL, watch.changes.recv()).await;
                }
                None => tokio::time::sleep(POLL).await,
            }
        };
        tokio::select! {
            () = until.cancelled() => {}
            () = changed => {}
        }
    }
}

#[cfg(test)]
mod tests;
