//! Reads container logs as the runtime writes them, whole, from the end, or as they grow.
//!
//! Never writes, rotates or removes a log. Follows across rotation: when another file takes the
//! path's place, the old one is read to its end first. As `kubectl logs` (kubelet's
//! pkg/kubelet/kuberuntime/logs), except that the parts of a long line are joined before they count
//! for `tail`.

mod parse;
mod tail;

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use parse::{Line, Source};
pub(in crate::runtime) use parse::{MAX_PREFIX_BYTES, last_lines};

const CHUNK_BYTES: usize = 64 << 10;
/// Where inotify does not work, growth is looked for this often.
const POLL: Duration = Duration::from_millis(250);
/// Where it works, an event that was lost costs this much.
const WATCHED_POLL: Duration = Duration::from_secs(5);

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
    file: File,
    watch: Option<Watch>,
    /// Read, and not yet a whole line of the file.
    rest: Vec<u8>,
    joiner: parse::Joiner,
    lines: VecDeque<Line>,
    /// The file has been seen to be replaced, or the container to have ended: after one more look
    /// for what was written before that, this file is done.
    last_look: bool,
}

impl Reader {
    async fn open(path: PathBuf, options: Options) -> io::Result<Box<Self>> {
        // Watching begins before reading, so that nothing written in between is missed.
        let watch = options.follow.as_ref().and_then(|_| Watch::new(&path));
        let mut file = File::open(&path).await?;
        if let Some(count) = options.tail {
            let start = tail::offset(&mut file, count).await?;
            file.seek(io::SeekFrom::Start(start)).await?;
        }
        Ok(Box::new(Self {
            path,
            options,
            file,
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
            let Some(until) = self.options.follow.clone() else {
                return Ok(self.finish());
            };
            let replaced = self.is_replaced().await;
            match (replaced || until.is_cancelled(), self.last_look) {
                (true, false) => self.last_look = true,
                (true, true) if replaced => self.reopen().await?,
                (true, true) => return Ok(self.finish()),
                (false, _) => self.wait(&until).await,
            }
        }
    }

    /// Reads on; `false` at the end of the file.
    async fn read_chunk(&mut self) -> io::Result<bool> {
        let start = self.rest.len();
        self.rest.reserve(CHUNK_BYTES);
        let count = (&mut self.file)
            .take(CHUNK_BYTES as u64)
            .read_buf(&mut self.rest)
            .await?;
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
        let line = parse::entry(line).and_then(|entry| self.joiner.push(&entry));
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
            self.file.metadata().await,
            tokio::fs::metadata(&self.path).await,
        ) else {
            // Nothing is at the path, as in the middle of a rotation: what is open is all there is.
            return false;
        };
        (ours.dev(), ours.ino()) != (named.dev(), named.ino())
    }

    async fn reopen(&mut self) -> io::Result<()> {
        self.file = File::open(&self.path).await?;
        self.rest.clear();
        self.last_look = false;
        Ok(())
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
