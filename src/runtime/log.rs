//! Reads container logs as the runtime writes them, whole, from the end, or as they grow, across
//! rotated and compressed files; and rotates them ([`rotation`]).
//!
//! Reading never writes. Follows across rotation: when another file takes the path's place, the old
//! one is read to its end first, then every file that was rotated in between. As `kubectl logs`
//! (kubelet's pkg/kubelet/kuberuntime/logs), except that the parts of a long line are joined before
//! they count for `tail`.
//!
//! Differs: kubelet reads the newest file only, so that what was rotated is out of reach.

mod parse;
mod pieces;
mod retention;
mod rotated;
pub mod rotation;
mod tail;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use parse::{Line, Source};
pub(in crate::runtime) use parse::{MAX_PREFIX_BYTES, last_lines};

/// Where inotify does not work, growth is looked for this often.
const POLL: Duration = Duration::from_millis(250);
/// Where it works, an event that was lost costs this much.
const WATCHED_POLL: Duration = Duration::from_secs(5);
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
}

/// Reads the log at a path, line by line. The stream ends at the end of the log, or as
/// [`Options::follow`] says; dropping it ends everything it holds.
///
/// # Errors
/// Items are errors when the log cannot be opened (`NotFound` where there is none) or read; the
/// stream ends after one.
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
    /// The file that is read.
    now: pieces::Piece,
    /// The files after it.
    files: VecDeque<pieces::Piece>,
    /// The newest rotation before the newest of these files was begun.
    newest: Option<rotated::Stamp>,
    watch: Option<Watch>,
    /// Read, and not yet a whole line of the file.
    rest: Vec<u8>,
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
        // Watching begins before reading, so that nothing written in between is missed.
        let watch = options.follow.as_ref().and_then(|_| Watch::new(&path));
        let opened = pieces::open(path.clone(), pieces::From::Beginning).await?;
        let mut files = opened.files;
        if let Some(since) = options.since {
            while files.len() > 1 && files[0].is_older_than(since) {
                files.pop_front();
            }
        }
        if let Some(count) = options.tail {
            tail::cut(&mut files, count).await?;
        }
        let now = files.pop_front().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Self {
            path,
            options,
            now,
            files,
            newest: opened.newest,
            watch,
            rest: Vec::new(),
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
        let replaced = self.is_replaced().await;
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
            self.take(&rest);
            self.now = next;
        }
    }

    /// Reads on; `false` at the end of the file.
    async fn read_chunk(&mut self) -> io::Result<bool> {
        let start = self.rest.len();
        let count = self.now.read(&mut self.rest).await?;
        let Some(end) = self.rest[start..].iter().rposition(|b| *b == b'\n') else {
            return Ok(count > 0);
        };
        let rest = self.rest.split_off(start + end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        for line in whole.split(|b| *b == b'\n') {
            self.take(line);
        }
        Ok(true)
    }

    fn take(&mut self, line: &[u8]) {
        let Some(entry) = parse::entry(line) else {
            return;
        };
        if self.now.skip > 0 {
            self.now.skip -= usize::from(!entry.partial);
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
        self.take(&rest);
        let unfinished = self.joiner.finish();
        self.lines.extend(unfinished);
        self.lines.pop_front()
    }

    async fn is_replaced(&self) -> bool {
        let (Ok(ours), Ok(named)) = (
            self.now.metadata().await,
            tokio::fs::metadata(&self.path).await,
        ) else {
            // Nothing is at the path, as in the middle of a rotation: what is open is all there is.
            return false;
        };
        !pieces::is_same(&ours, &named)
    }

    /// Opens the files that came after the one that was read.
    async fn find_newer(&mut self) -> io::Result<()> {
        let from = pieces::From::After(Box::new(self.now.metadata().await?), self.newest);
        match pieces::open(self.path.clone(), from).await {
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

/// Watches the log's directory, because the file at the path may become another one.
struct Watch {
    _watcher: notify::RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// `None` where inotify cannot be had, for example when the user's watches are used up.
    fn new(path: &Path) -> Option<Self> {
        let (sender, changes) = mpsc::channel(1);
        let name = path.file_name()?.to_owned();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<_>| {
            let ours = |event: &notify::Event| {
                event.paths.iter().any(|p| p.file_name() == Some(&name)) && !event.kind.is_access()
            };
            if event.as_ref().map_or(true, ours) {
                // Full means that a look is due already.
                let _ = sender.try_send(());
            }
        })
        .ok()?;
        watcher
            .watch(path.parent()?, RecursiveMode::NonRecursive)
            .ok()?;
        Some(Self {
            _watcher: watcher,
            changes,
        })
    }
}

#[cfg(test)]
mod tests;
