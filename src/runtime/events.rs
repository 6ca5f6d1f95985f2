//! Says when to look at the runtime again: hints from its event streams.
//!
//! A hint only means "observe", and losing one costs at most a relist interval. Of an event's content
//! one thing is taken: that a container has ended, which containerd's CRI shows only after it has
//! cleaned up, half the time that a restart takes. From containerd the hints come from its own event service, which every
//! version has; from other runtimes from CRI's GetContainerEvents. The runtime being away is not an
//! error here but a state that ends with [`Hint::All`].

mod containerd;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::Runtime;
use super::cache::End;
use super::error::Error;
use super::observe::Shown;
use crate::api::Uid;
use crate::model::{ContainerId, ObservedPod};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// A subscription's request is answered only with the first event; it is taken to be in force when
/// a later call on the same connection was answered and this has passed.
const SUBSCRIBED: Duration = Duration::from_millis(20);
/// Pauses before everything is looked at again after a subscription.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long the runtime's lists may take to show an end that its events announced.
const SETTLED: Duration = Duration::from_secs(2);
/// How long the answer to a start may take of a container that has ended meanwhile.
const STARTED: Duration = Duration::from_secs(120);
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// Where nothing but the status waits for what the lists have to add.
const LATER_LOOK: Duration = Duration::from_millis(50);

/// What to look at again. A receiver that lagged behind takes it as [`Hint::All`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A container or a sandbox, by the runtime's id.
    Container(String),
    /// An image whose pull ended or made progress, named in full.
    Image(String),
    /// Images that could not be had: archives were imported.
    Images,
    /// The runtime has a network for pods again.
    Network,
    /// Pods that are not as they are listed here, which is all there are.
    Listed(Arc<BTreeMap<Uid, ObservedPod>>),
    /// Everything: events may have been missed, or the runtime is back.
    All,
}

/// Sends hints until cancelled, connecting again with a back-off of 100 ms doubling to 5 s. With a
/// runtime that has no events at all it is a look at everything each 5 s.
pub async fn watch_events(
    runtime: &Runtime,
    hints: broadcast::Sender<Hint>,
    cancel: CancellationToken,
) {
    let mut delay = FIRST_RETRY;
    let mut was_reachable = true;
    loop {
        let mut connected = false;
        let watch = watch_once(runtime, &hints, &mut connected);
        let error = tokio::select! {
            () = cancel.cancelled() => return,
            Err(error) = watch => error,
        };
        if connected {
            delay = FIRST_RETRY;
        }
        if connected || was_reachable {
            tracing::debug!(error = %error.line(), "the runtime's events ended; subscribing again");
        }
        was_reachable = connected;
        let pause = if error.is_unimplemented() {
            // Lists are all there is.
            let _ = hints.send(Hint::All);
            LAST_RETRY
        } else {
            delay
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        delay = delay.saturating_mul(2).min(LAST_RETRY);
    }
}

async fn watch_once(
    runtime: &Runtime,
    hints: &broadcast::Sender<Hint>,
    connected: &mut bool,
) -> Result<Infallible, Error> {
    let client = &runtime.inner.client;
    let is_containerd = super::containerd::is(&client.version().await?.runtime_name);
    *connected = true;
    let announce = async {
        client.version().await?;
        tokio::time::sleep(SUBSCRIBED).await;
        // Nobody listening is no error: the agent is starting or ending.
        let _ = hints.send(Hint::All);
        Ok(())
    };
    if is_containerd {
        let stream = announced(containerd::subscribe(client.channel()), announce).await?;
        let events = stream.map(|e| e.map(|e| containerd::event_of(&e)));
        forward(runtime, hints, events).await
    } else {
        let stream = announced(client.container_events(), announce).await?;
        let events = stream.map(|e| e.map(|e| Some(Event::Ended(None, e.container_id))));
        forward(runtime, hints, events).await
    }
}

/// Waits for a stream, and announces once that it is in force, which is well before its first
/// event makes it answer.
async fn announced<T>(
    subscribe: impl Future<Output = Result<T, Error>>,
    announce: impl Future<Output = Result<(), Error>>,
) -> Result<T, Error> {
    let both = futures_util::future::try_join(subscribe, announce);
    both.await.map(|(stream, ())| stream)
}

/// What an event says, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    /// A container or sandbox has ended; how, where that is told.
    Ended(Option<End>, String),
    /// A container ran out of memory, which may be known only after it was seen to have ended.
    OutOfMemory(String),
}

async fn forward(
    runtime: &Runtime,
    hints: &broadcast::Sender<Hint>,
    mut events: impl Stream<Item = Result<Option<Event>, Status>> + Unpin,
) -> Result<Infallible, Error> {
    let mut settling = FuturesUnordered::new();
    let again = look_again(hints);
    tokio::pin!(again);
    loop {
        tokio::select! {
            () = &mut again => {}
            event = events.next() => match event.unwrap_or_else(stream_end).map_err(Error::Events)? {
                Some(Event::Ended(end, id)) => {
                    let cache = &runtime.inner.cache;
                    let end = end.map(|end| runtime.reckoning().end(end));
                    let known = end.is_some_and(|end| cache.announce(&ContainerId(id.clone()), end));
                    if known {
                        let _ = hints.send(Hint::Container(id.clone()));
                    }
                    settling.push(settle(runtime, id, if known { LATER_LOOK } else { FIRST_LOOK }));
                }
                Some(Event::OutOfMemory(id)) => {
                    runtime.inner.cache.forget(&ContainerId(id.clone()));
                    let _ = hints.send(Hint::Container(id));
                }
                None => {}
            },
            Some(ended) = settling.next(), if !settling.is_empty() => {
                if let Some(id) = ended {
                    let _ = hints.send(Hint::Container(id));
                }
            }
        }
    }
}

/// A busy runtime may take longer to put a subscription in force than was allowed for: what ended
/// in between is found by looking at everything twice more.
async fn look_again(hints: &broadcast::Sender<Hint>) {
    for pause in LOOK_AGAIN {
        tokio::time::sleep(pause).await;
        let _ = hints.send(Hint::All);
    }
    std::future::pending().await
}

/// A stream that ends without an error is a runtime that ends.
fn stream_end() -> Result<Option<Event>, Status> {
    Err(Status::unavailable("the stream of events ended"))
}

/// Waits until CRI shows what the event announced: containerd's CRI learns of an exit from the same
/// stream, so an observation made at once may still say that the container runs. One that ended before
/// its start was answered is shown as created, then as running, and then as ended. Returns nothing for
/// what is not this agent's.
async fn settle(runtime: &Runtime, id: String, first_look: Duration) -> Option<String> {
    let (mut starting, mut waited) = (Duration::ZERO, Duration::ZERO);
    while starting < STARTED && waited < SETTLED {
        let waited = match runtime.show(&id).await {
            Ok(Shown::Foreign) => return None,
            Ok(Shown::Created) => &mut starting,
            Ok(Shown::Runs) => &mut waited,
            // What cannot be asked now is looked at by the hint's receiver.
            Ok(Shown::Ended) | Err(_) => break,
        };
        // Late by an eighth at most: a crashed container is to be back soon.
        let pause = waited.checked_div(8).unwrap_or_default().max(first_look);
        tokio::time::sleep(pause).await;
        *waited = waited.saturating_add(pause);
    }
    Some(id)
}
