//! The task that owns pulls in flight: one an image however many pods want it, a few at a time.
//!
//! A pod that asked for a pull gets its end once; a pull that no pod wants any more is dropped, which
//! ends it in the runtime. Nothing is pulled twice without being asked for twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::cause;
use super::lease::Lease;
use super::node::{self, NodeCredentials};
use super::progress::{INTERVAL, Ingests};
use super::pulls::Pulls;
use super::stored;
use crate::api::{ImageName, Uid};
use crate::cri;
use crate::model::time::between;
use crate::model::{PullProgress, Reason};
use crate::runtime::error::Error;
use crate::runtime::events::Hint;
use crate::runtime::{Inner, Runtime, brought};

/// Requests wait here when the puller is busy, which is for microseconds.
const QUEUED_REQUESTS: usize = 64;

/// A pull that is wanted.
#[derive(Debug, Clone)]
pub(super) struct PullWish {
    pub image: ImageName,
    /// Whether it is to be pulled; else it is there and to be unpacked.
    pub is_pulled: bool,
    /// The sandbox's configuration, for the runtime.
    pub sandbox: Option<Arc<cri::PodSandboxConfig>>,
    /// Credentials to try, in this order; none means to ask without.
    pub auth: Vec<cri::AuthConfig>,
}

/// How a pull ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pulled {
    /// The image is in the runtime.
    Done {
        /// How long the call took that brought it, where one did.
        took: Option<Duration>,
    },
    /// It failed.
    Failed {
        /// Why, for people.
        reason: Reason,
        /// Whether the registry gave no answer at all.
        unreachable: bool,
    },
}

/// What the puller says about one pod's pull of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The pod has not asked for it, or was told its end already.
    Unknown,
    /// It waits for its turn.
    Waiting,
    /// It is there and is unpacked.
    Unpacking,
    /// It runs.
    Running {
        since: Timestamp,
        progress: PullProgress,
    },
    /// It has ended; said once.
    Ended(Pulled),
}

/// What is asked of the task.
pub(super) enum Request {
    Ask(Uid, String, oneshot::Sender<Answer>),
    Begin(Uid, PullWish, oneshot::Sender<Answer>),
    Release(Uid, BTreeSet<String>),
}

/// The asking side.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct PullSender(mpsc::Sender<Request>);

/// What [`run_puller`] works off; made with the runtime's handle.
#[derive(Debug)]
pub struct PullRequests {
    heard: mpsc::Receiver<Request>,
    /// So many images are pulled at a time.
    parallel: usize,
}

impl PullSender {
    /// The asking side, and what is asked, of which so many pulls run at a time.
    pub fn new(parallel: usize) -> (Self, PullRequests) {
        let (sender, heard) = mpsc::channel(QUEUED_REQUESTS);
        (Self(sender), PullRequests { heard, parallel })
    }

    pub(super) async fn ask(&self, uid: &Uid, image: &str) -> Result<Answer, Error> {
        self.request(|reply| Request::Ask(uid.clone(), image.to_owned(), reply))
            .await
    }

    pub(super) async fn begin(&self, uid: &Uid, wish: PullWish) -> Result<Answer, Error> {
        self.request(|reply| Request::Begin(uid.clone(), wish, reply))
            .await
    }

    async fn request(
        &self,
        request: impl FnOnce(oneshot::Sender<Answer>) -> Request,
    ) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(request(reply)).await;
        sent.map_err(|_| Error::PullsEnded)?;
        answer.await.map_err(|_| Error::PullsEnded)
    }

    /// Takes back a pod's wishes for all images but these.
    pub async fn release(&self, uid: &Uid, keep: BTreeSet<String>) {
        let keep = keep.iter().map(|image| ImageName::in_full(image)).collect();
        // A puller that has ended has no pulls to end.
        let _ = self.0.send(Request::Release(uid.clone(), keep)).await;
    }
}

/// Pulls until cancelled, a few images at a time, besides those that have stalled; being cancelled, or dropped,
/// ends the pulls in flight. Sends [`Hint::Image`] when a pull begins and ends, and each second in which it
/// made progress.
pub async fn run_puller(
    runtime: &Runtime,
    requests: PullRequests,
    hints: broadcast::Sender<Hint>,
    credentials: NodeCredentials,
    cancel: CancellationToken,
) {
    let credentials = node::Lookup::new(
        credentials,
        runtime.inner.clock,
        runtime.inner.blocking.clone(),
    );
    let mut pulls = Pulls::new(requests.parallel);
    let mut requests = requests.heard;
    let mut running = FuturesUnordered::new();
    // At home when nobody looks.
    let mut ingests = Some(Ingests::new(runtime.inner.client.channel()));
    let mut looks = FuturesUnordered::new();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let (true, Some(ingests)) = (running.is_empty(), &mut ingests) {
            ingests.forget();
        }
        for wish in pulls.due(Instant::now()) {
            let image = wish.image.to_string();
            let stop = pulls.started(&image, Instant::now());
            running.push(pull(&runtime.inner, &credentials, wish, stop));
            let _ = hints.send(Hint::Image(image));
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            request = requests.recv() => match request {
                Some(request) => pulls.take(request, (runtime.inner.clock)()),
                None => return,
            },
            Some((image, pulled)) = running.next(), if !running.is_empty() => {
                if let Some(pulled) = pulled {
                    pulls.end(&image, &pulled);
                }
                let _ = hints.send(Hint::Image(image));
            }
            _ = tick.tick(), if ingests.is_some() && !running.is_empty() => {
                let images = pulls.running();
                looks.extend(ingests.take().map(|mut ingests| async move {
                    let progress = ingests.look(&images).await;
                    (ingests, progress)
                }));
            }
            Some((home, progress)) = looks.next(), if !looks.is_empty() => {
                ingests = Some(home);
                for image in pulls.progress(progress, Instant::now()) {
                    let _ = hints.send(Hint::Image(image));
                }
            }
        }
    }
}

/// One pull with its credentials in turn; the image and its end, no end where it was stopped.
async fn pull(
    runtime: &Inner,
    credentials: &node::Lookup,
    wish: PullWish,
    stop: CancellationToken,
) -> (String, Option<Pulled>) {
    let name = wish.image.to_string();
    if !wish.is_pulled {
        let unpacked = tokio::select! {
            () = stop.cancelled() => None,
            unpacked = unpack(runtime, &name) => Some(unpacked),
        };
        return (name, unpacked);
    }
    let image = name.clone();
    let pull = async {
        let found = credentials.of_image(&wish.image).await;
        let auths = wish.auth.into_iter().chain(found.auths);
        let mut auths: VecDeque<_> = auths.map(Some).collect();
        if auths.is_empty() {
            auths.push_back(None);
        }
        let channel = runtime.client.channel();
        // Of a runtime without containerd's services nothing is known, and nothing noted.
        let before = brought::names(&channel, &runtime.node).await.ok();
        let mut ended = Ok(String::new());
        let mut begun = (runtime.clock)();
        for auth in auths {
            begun = (runtime.clock)();
            ended = runtime
                .client
                .pull_image(&name, auth, wish.sandbox.as_deref().cloned())
                .await;
            if ended.is_ok() {
                break;
            }
        }
        let took = between(begun, (runtime.clock)());
        if let (Ok(id), Some(before)) = (&ended, &before) {
            brought::note_pull(&channel, &runtime.node, &wish.image, id, before).await;
        }
        (ended, found.problems, took)
    };
    tokio::select! {
        () = stop.cancelled() => (image, None),
        ended = pull => (image, Some(match ended {
            (Ok(_), _, took) => Pulled::Done { took: Some(took) },
            (Err(error), problems, _) => Pulled::Failed {
                reason: with_problems(error.reason(), &problems),
                unreachable: error.status().is_some_and(cause::is_unreachable),
            },
        })),
    }
}

/// Unpacks an image that is there.
async fn unpack(runtime: &Inner, image: &str) -> Pulled {
    let channel = runtime.client.channel();
    let unpacked = async {
        let snapshotter = runtime.client.snapshotter().await?;
        let layers = stored::layers(&channel, image).await?;
        let (Some(snapshotter), Some(layers)) = (snapshotter, layers) else {
            return Ok(Ok(()));
        };
        let lease =
            Lease::take(channel.clone(), &runtime.node, "unpack", (runtime.clock)()).await?;
        let unpacked = layers.unpack(channel.clone(), &snapshotter, &lease).await;
        lease.close().await;
        Ok::<_, Status>(unpacked)
    };
    let problem = match unpacked.await {
        Ok(Ok(())) => return Pulled::Done { took: None },
        Ok(Err(error)) => error.to_string(),
        Err(status) => status.message().to_owned(),
    };
    let message = format!("image {image:?} is present and cannot be unpacked: {problem}");
    Pulled::Failed {
        reason: Reason::new("ErrImagePull", message),
        unreachable: false,
    }
}

/// A pull's failure, with what kept credentials from it: that may be why.
fn with_problems(mut reason: Reason, problems: &[String]) -> Reason {
    for problem in problems {
        reason.message = format!("{}; {problem}", reason.message);
    }
    reason
}
