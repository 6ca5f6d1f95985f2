//! Keeps container logs within `containerLog.maxSize` and `maxFiles`: looks how large the logs of
//! running containers are, and has those that are too large rotated and old files compressed.
//!
//! kubelet looks every 10 s. Differs: a look is one `stat` a log, every second, and sooner when a log
//! grows so fast that it will be too large sooner ([`pace`]), so that a container that writes 100 MB
//! a second is held within `maxFiles` times a little more than `maxSize`. Logs are rotated side by
//! side; compression is done on another thread, one file at a time, and for at most a quarter of the
//! time: a log whose old files cannot be compressed that fast loses them uncompressed.
//!
//! What is known here is only for pacing; everything that counts is in the files' names.

mod pace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Channels;
use super::tasks::Tasks;
use crate::blocking::{Blocking, Unanswered};
use crate::clock::{self, After};
use crate::config::{Config, Loaded};
use crate::metrics::{Counter, Metrics};
use crate::model::{ContainerId, NodeView};
use crate::runtime::log::rotation::{Error, Left, REST, Size, Tidied, sizes, tidy};
use crate::runtime::{Runtime, files};
use pace::Growth;

/// How long a log is left alone after it was rotated: the runtime has other things to do, too.
const BREATH: Duration = Duration::from_millis(50);
/// How long a log is left alone after something failed, as kubelet does.
const TROUBLE: Duration = Duration::from_secs(10);
/// Compression may take one part in so many of the time.
const SHARE: u32 = 4;

/// Starts the task, whose limits follow the configuration.
pub(super) fn start(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
    runtime: &Runtime,
    metrics: &Metrics,
) {
    let inputs = Inputs {
        runtime: runtime.clone(),
        pod_logs: config.paths.pod_logs.clone(),
        view: channels.reporter.subscribe(),
        loaded: channels.loaded.subscribe(),
        counts: Counts::new(metrics),
        blocking: channels.blocking.clone(),
        clock: clock::wall,
    };
    let cancel = channels.cancel.clone();
    tasks.start("log-rotation", rotate_logs(inputs, cancel));
}

/// What the task is given.
pub struct Inputs {
    /// The runtime.
    pub runtime: Runtime,
    /// Container logs.
    pub pod_logs: PathBuf,
    /// Which containers run.
    pub view: watch::Receiver<Arc<NodeView>>,
    /// The configuration in force.
    pub loaded: watch::Receiver<Loaded>,
    /// What is counted.
    pub counts: Counts,
    /// The threads that touch logs.
    pub blocking: Blocking,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

/// What is counted, by result.
pub struct Counts {
    rotations: Counter,
    compressions: Counter,
}

impl Counts {
    /// Makes the counters.
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help);
        Self {
            rotations: counter("log_rotations", "Container logs rotated."),
            compressions: counter("log_compressions", "Rotated container logs compressed."),
        }
    }
}

/// One running container's log.
struct Log {
    path: PathBuf,
    growth: Option<Growth>,
    /// Something is being done with it.
    is_busy: bool,
    /// Not to be rotated before.
    held: Instant,
    /// When its rotated files are to be looked at.
    tidy_at: Option<Instant>,
}

/// What was done to which container's log.
enum Done {
    Rotated(Result<(), Error>),
    Tidied(Duration, Result<Tidied, Error>),
}

struct Rotation {
    inputs: Inputs,
    cancel: CancellationToken,
    logs: BTreeMap<ContainerId, Log>,
    /// Their paths, in the same order.
    paths: Arc<[PathBuf]>,
    jobs: FuturesUnordered<BoxFuture<'static, (ContainerId, Done)>>,
    looked: Instant,
    /// Why the logs could not be looked at the last time.
    unanswered: Option<Unanswered>,
    /// A file is being compressed, or was until just now.
    tidy_held: Option<Instant>,
}

/// Rotates logs until cancelled.
pub async fn rotate_logs(mut inputs: Inputs, cancel: CancellationToken) {
    inputs.view.mark_changed();
    let mut rotation = Rotation {
        inputs,
        cancel: cancel.clone(),
        logs: BTreeMap::new(),
        paths: Arc::default(),
        jobs: FuturesUnordered::new(),
        looked: Instant::now(),
        unanswered: None,
        tidy_held: None,
    };
    let mut next = Instant::now();
    loop {
        let tidying = rotation.tidy_due().unwrap_or(next);
        tokio::select! {
            () = cancel.cancelled() => break,
            Some((id, done)) = rotation.jobs.next() => rotation.take(&id, done),
            () = tokio::time::sleep_until(next) => {
                next = Instant::now().after(rotation.look().await);
            }
            () = tokio::time::sleep_until(tidying), if tidying < next => rotation.tidy_next(),
            Ok(()) = rotation.inputs.loaded.changed() => {
                next = Instant::now();
                // Fewer files may be wanted now.
                rotation.logs.values_mut().for_each(|log| log.tidy_at = Some(next));
            }
        }
    }
    // A rotation takes milliseconds; one that is dropped is made good at the next start.
    while rotation.jobs.next().await.is_some() {}
}

impl Rotation {
    /// Looks at all logs, starts what is due, and says when to look again.
    async fn look(&mut self) -> Duration {
        let (max_size, keep) = self.limits();
        self.follow_view();
        let sizes = self.sizes().await;
        let now = Instant::now();
        let elapsed = now.duration_since(self.looked);
        self.looked = now;
        let mut due = Vec::new();
        for ((id, log), size) in self.logs.iter_mut().zip(sizes) {
            let free = !log.is_busy && log.held <= now;
            log.growth = match size {
                Size::Bytes(size) => Some(Growth::seen(log.growth, size, elapsed)),
                Size::Missing | Size::Unknown => log.growth,
            };
            match size {
                Size::Bytes(size) if free && size >= max_size => due.push((id.clone(), true)),
                Size::Missing if free => due.push((id.clone(), false)),
                _ => {}
            }
        }
        for (id, has_file) in due {
            self.rotate(id, has_file, keep);
        }
        self.tidy_next();
        let growths = self.logs.values().filter_map(|log| log.growth);
        pace::next_look(growths, max_size)
    }

    /// How large the logs are; nothing where they do not answer, which is told once.
    async fn sizes(&mut self) -> Vec<Size> {
        let cancel = self.cancel.clone();
        let asked = tokio::select! {
            () = cancel.cancelled() => return Vec::new(),
            asked = sizes(&self.inputs.blocking, Arc::clone(&self.paths)) => asked,
        };
        let (sizes, unanswered) = match asked {
            Ok(sizes) => (sizes, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        if let Some(why) = &unanswered
            && unanswered != self.unanswered
        {
            warn!("no container log is rotated: {why}");
        }
        self.unanswered = unanswered;
        sizes
    }

    /// The size from which logs are rotated and how many rotated files are kept beside one.
    fn limits(&mut self) -> (u64, usize) {
        let loaded = self.inputs.loaded.borrow_and_update();
        let limits = &loaded.config.container_log;
        let files = usize::try_from(limits.max_files).unwrap_or(usize::MAX);
        (limits.max_size.0, files.saturating_sub(1).max(1))
    }

    /// Takes over which containers run, where that may have changed.
    fn follow_view(&mut self) {
        if !self.inputs.view.has_changed().unwrap_or(true) {
            return;
        }
        let view = self.inputs.view.borrow_and_update().clone();
        let running = running(&view, &self.inputs.pod_logs);
        self.logs.retain(|id, _| running.contains_key(id));
        let now = Instant::now();
        for (id, path) in running {
            self.logs.entry(id).or_insert_with(|| Log {
                path,
                growth: None,
                is_busy: false,
                held: now,
                // An earlier agent may have left something.
                tidy_at: Some(now),
            });
        }
        self.paths = self.logs.values().map(|log| log.path.clone()).collect();
    }

    /// Begins to rotate a log, or to have one opened that has no file.
    fn rotate(&mut self, id: ContainerId, has_file: bool, keep: usize) {
        let Some(log) = self.logs.get_mut(&id) else {
            return;
        };
        log.is_busy = true;
        let (runtime, path) = (self.inputs.runtime.clone(), log.path.clone());
        let job = async move {
            let done = if has_file {
                runtime.rotate_log(&id, path, keep).await
            } else {
                runtime.reopen_log(&id).await
            };
            (id, Done::Rotated(done))
        };
        self.jobs.push(job.boxed());
    }

    /// When the next log is to be tidied, if one is.
    fn tidy_due(&self) -> Option<Instant> {
        let waiting = self.logs.values().filter(|log| !log.is_busy);
        let first = waiting.filter_map(|log| log.tidy_at).min()?;
        Some(self.tidy_held.map_or(first, |held| first.max(held)))
    }

    /// Begins to tidy the log that has waited longest, if there is one and none is being tidied.
    fn tidy_next(&mut self) {
        let ((_, keep), now) = (self.limits(), Instant::now());
        if self.tidy_held.is_some_and(|held| now < held) {
            return;
        }
        let waiting = self.logs.iter_mut().filter(|(_, log)| !log.is_busy);
        let longest = waiting
            .filter_map(|(id, log)| Some((log.tidy_at?, id, log)))
            .min_by_key(|(at, ..)| *at);
        let Some((_, id, log)) = longest.filter(|(at, ..)| *at <= now) else {
            return;
        };
        log.tidy_at = None;
        // Until it is done; it may take long, and rotation goes on meanwhile.
        self.tidy_held = Some(now.after(Duration::from_secs(3600)));
        let (id, path) = (id.clone(), log.path.clone());
        let (time, cancel) = ((self.inputs.clock)(), self.cancel.clone());
        let blocking = self.inputs.blocking.clone();
        let job = async move {
            let done = tidy(&blocking, path, keep, time, cancel).await;
            (id, Done::Tidied(now.elapsed(), done))
        };
        self.jobs.push(job.boxed());
    }

    /// Takes note of what was done.
    fn take(&mut self, id: &ContainerId, done: Done) {
        let now = Instant::now();
        let (held, tidy_at) = match &done {
            Done::Rotated(Ok(())) => (now.after(BREATH), Some(now.after(REST))),
            Done::Rotated(Err(_)) => (now.after(TROUBLE), None),
            Done::Tidied(_, Ok(tidied)) => (
                now,
                match tidied.left {
                    Left::Nothing => None,
                    Left::Resting => Some(now.after(REST)),
                    Left::More => Some(now),
                },
            ),
            Done::Tidied(_, Err(_)) => (now, Some(now.after(TROUBLE))),
        };
        if let Done::Tidied(took, _) = &done {
            self.tidy_held = Some(now.after(took.saturating_mul(SHARE - 1)));
        }
        let path = self.logs.get_mut(id).map(|log| {
            if let Done::Rotated(_) = &done {
                log.is_busy = false;
                log.held = held;
            }
            // A log that waits already waits no longer than before.
            log.tidy_at = log.tidy_at.or(tidy_at);
            log.path.display().to_string()
        });
        self.tell(&path.unwrap_or_else(|| id.to_string()), done);
    }

    fn tell(&self, log: &str, done: Done) {
        let result = |is_ok| [("result", if is_ok { "done" } else { "failed" })];
        match done {
            Done::Rotated(done) => {
                self.inputs.counts.rotations.inc(&result(done.is_ok()));
                match done {
                    Ok(()) => debug!(log, "rotated"),
                    Err(error) => warn!(log, "the container's log is not rotated: {error}"),
                }
            }
            Done::Tidied(_, Ok(tidied)) => {
                if tidied.compressed {
                    self.inputs.counts.compressions.inc(&result(true));
                }
            }
            Done::Tidied(_, Err(error)) => {
                self.inputs.counts.compressions.inc(&result(false));
                warn!(
                    log,
                    "rotated files of the container's log stay as they are: {error}"
                );
            }
        }
    }
}

/// The logs of running containers.
fn running(view: &NodeView, pod_logs: &Path) -> BTreeMap<ContainerId, PathBuf> {
    let pods = view.pods.values().filter_map(|pod| pod.have.as_ref());
    let mut logs = BTreeMap::new();
    for pod in pods {
        let directory = files::log_directory(&pod.key, pod_logs);
        for container in pod.containers.iter().filter(|c| c.is_running()) {
            let log = files::log_path(&container.name, container.attempt);
            logs.insert(container.id.clone(), directory.join(log));
        }
    }
    logs
}
