//! What keeps a defect to the pod that it is met with: a worker that panics is started again, with
//! back-off, and its pod says why. Its pod runs on meanwhile; nothing of the worker is lost but its
//! memory, which costs repeated checks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Channels;
use super::coordinator::StartWorker;
use super::hands::Hands;
use super::tasks;
use super::worker::Worker;
use crate::clock;
use crate::model::time::between;
use crate::model::{DesiredPod, Failure, PodPlan, PodReport, Reason, defect};
use crate::plan::backoff::{CALL, failed_again, retry_at};

/// A worker that did well for so long starts over with the first wait.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What a worker is watched with.
pub struct Watch {
    /// What its pod should be.
    pub want: watch::Receiver<Arc<DesiredPod>>,
    /// Where reports go.
    pub reports: mpsc::Sender<PodReport>,
    /// The time on the line.
    pub clock: fn() -> Timestamp,
    /// Ends it.
    pub cancel: CancellationToken,
}

impl Watch {
    /// Runs workers, one after another, until one ends by itself.
    pub async fn keep<W: Future<Output = ()>>(self, mut start: impl FnMut() -> W) {
        let mut failure: Option<Failure> = None;
        while let Err(panic) = AssertUnwindSafe(start()).catch_unwind().await {
            let now = (self.clock)();
            let before = failure.filter(|failure| between(failure.last, now) < FORGOTTEN);
            let reason = Reason::new("InternalError", defect(&*panic));
            let failed = failed_again(before.as_ref(), reason, now);
            let at = retry_at(&failed, CALL);
            let report = self.report(failed.reason.clone().retried_at(at));
            failure = Some(failed);
            // Without a coordinator the agent is ending, and the token says so.
            self.reports.send(report).await.ok();
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = clock::sleep(self.clock, between(now, at)) => {}
            }
        }
    }

    /// That nothing is known of the pod, and why.
    fn report(&self, reason: Reason) -> PodReport {
        let want = Arc::clone(&self.want.borrow());
        error!(pod = %want.key(), "the pod's worker is started again: {reason}");
        PodReport {
            want,
            have: None,
            observed: false,
            looked_at: None,
            plan: Arc::new(PodPlan {
                reasons: vec![reason],
                ..PodPlan::default()
            }),
            images: Arc::default(),
            probes: Arc::default(),
        }
    }
}

/// Makes the function that starts a pod's worker.
pub fn starter(
    channels: &Channels,
    cri: Hands,
    reports: mpsc::Sender<PodReport>,
    starter: tasks::Starter,
) -> StartWorker {
    let (hints, cancel) = (channels.hints.clone(), channels.cancel.clone());
    let events = channels.sink.clone();
    Box::new(move |want: watch::Receiver<Arc<DesiredPod>>| {
        let watch = Watch {
            want: want.clone(),
            reports: reports.clone(),
            clock: clock::steady,
            cancel: cancel.clone(),
        };
        let (cri, hints, reports) = (cri.clone(), hints.clone(), reports.clone());
        let (events, cancel) = (events.clone(), cancel.clone());
        let worker = move || Worker {
            cri: cri.clone(),
            want: want.clone(),
            hints: hints.subscribe(),
            reports: reports.clone(),
            events: events.clone(),
            clock: clock::steady,
            cancel: cancel.clone(),
        };
        starter.start(move || watch.keep(move || worker().run()));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::fixture;

    #[tokio::test]
    async fn a_worker_that_panics_is_named_and_started_again() {
        let set = fixture::set("default", "web", "");
        let (_mailbox, want) = watch::channel(fixture::pod(&set, "web-a", Vec::new()).want);
        let (reports, mut told) = mpsc::channel(4);
        let watch = Watch {
            want,
            reports,
            clock: clock::steady,
            cancel: CancellationToken::new(),
        };
        let mut lives = 0;
        let keep = watch.keep(|| {
            lives += 1;
            let life = lives;
            async move { assert!(life > 1, "life {life}") }
        });
        keep.await;
        assert_eq!(lives, 2);
        let report = told.try_recv().expect("a report");
        let reason = &report.plan.reasons[0];
        assert_eq!(
            (reason.word.as_str(), reason.message.as_str()),
            (
                "InternalError",
                "setlet failed, which is a defect of it: life 1"
            )
        );
        assert!(reason.retry_at.is_some() && !report.observed && !report.plan.gone);
        assert!(told.try_recv().is_err(), "once");
    }
}
