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
use tokio_util::sync::CancellationToken;

use super::cause;
use super::node::{self, NodeCredentials};
use super::progress::Ingests;
use super::pulls::Pulls;
use crate::api::Uid;
use crate::cri;
use crate::model::{PullProgress, Reason};
use crate::runtime::error::Error;
use crate::runtime::events::Hint;
use crate::runtime::{Inner, Runtime};

/// Requests wait here when the puller is busy, which is for microseconds.
const QUEUED_REQUESTS: usize = 64;

/// A pull that is wanted.
#[derive(Debug, Clone)]
pub(super) struct PullWish {
    /// The image as pods name it.
    pub image: String,
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
        /// How long the call took that brought it.
        took: Duration,
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
    /// It waits for its turn, or runs.
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
        // A puller that has ended has no pulls to end.
        let _ = self.0.send(Request::Release(uid.clone(), keep)).await;
    }
}

/// Pulls until cancelled, a few images at a time; being cancelled, or dropped,
/// ends the pulls in flight. Sends [`Hint::Image`] when a pull ends, and each second in which it
/// made progress.
pub async fn run_puller(
    runtime: &Runtime,
    requests: PullRequests,
    hints: broadcast::Sender<Hint>,
    credentials: NodeCredentials,
    cancel: CancellationToken,
) {
    let credentials = node::Lookup::new(credentials, runtime.inner.clock);
    let mut pulls = Pulls::new(requests.parallel);
    let mut requests = requests.heard;
    let mut running = FuturesUnordered::new();
    let mut ingests = Ingests::new(runtime.inner.client.channel());
    loop {
        if running.is_empty() {
            ingests.forget();
        }
        for wish in pulls.due() {
            let stop = pulls.started(&wish.image);
            running.push(pull(&runtime.inner, &credentials, wish, stop));
        }
        let images = pulls.running();
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
            progress = ingests.poll(&images), if !running.is_empty() => {
                for image in pulls.progress(progress) {
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
    let image = wish.image.clone();
    let pull = async {
        let found = credentials.of_image(&wish.image).await;
        let auths = wish.auth.into_iter().chain(found.auths);
        let mut auths: VecDeque<_> = auths.map(Some).collect();
        if auths.is_empty() {
            auths.push_back(None);
        }
        let mut ended = Ok(String::new());
        let mut begun = (runtime.clock)();
        for auth in auths {
            begun = (runtime.clock)();
            ended = runtime
                .client
                .pull_image(&wish.image, auth, wish.sandbox.as_deref().cloned())
                .await;
            if ended.is_ok() {
                break;
            }
        }
        let took = (runtime.clock)().duration_since(begun);
        (
            ended,
            found.problems,
            Duration::try_from(took).unwrap_or_default(),
        )
    };
    tokio::select! {
        () = stop.cancelled() => (image, None),
        ended = pull => (image, Some(match ended {
            (Ok(_), _, took) => Pulled::Done { took },
            (Err(error), problems, _) => Pulled::Failed {
                reason: with_problems(error.reason(), &problems),
                unreachable: error.status().is_some_and(cause::is_unreachable),
            },
        })),
    }
}

/// A pull's failure, with what kept credentials from it: that may be why.
fn with_problems(mut reason: Reason, problems: &[String]) -> Reason {
    for problem in problems {
        reason.message = format!("{}; {problem}", reason.message);
    }
    reason
}
