//! The workers' reports on their way to the coordinator: the newest of each pod.
//!
//! The coordinator may wait for the state disk for long. No worker waits for it meanwhile, and there are
//! never more reports than pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::api::Uid;
use crate::model::PodReport;

/// The newest report of each pod that told something since they were last taken.
#[derive(Default)]
pub struct Newest {
    reports: Mutex<BTreeMap<Uid, PodReport>>,
    told: Notify,
}

impl Newest {
    /// Takes in what workers report until cancelled.
    pub async fn hear(
        self: Arc<Self>,
        mut reports: mpsc::Receiver<PodReport>,
        cancel: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(report) = reports.recv() => self.put(report),
            }
        }
    }

    fn put(&self, report: PodReport) {
        self.lock().insert(report.want.key().uid.clone(), report);
        self.told.notify_one();
    }

    /// Waits for reports and takes them.
    pub async fn take(&self) -> Vec<PodReport> {
        loop {
            let reports = std::mem::take(&mut *self.lock());
            if !reports.is_empty() {
                return reports.into_values().collect();
            }
            self.told.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, PodReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::fixture;

    #[tokio::test]
    async fn workers_do_not_wait_and_the_newest_of_each_pod_counts() {
        let set = fixture::set("default", "web", "");
        let report = |name: &str, observed| PodReport {
            observed,
            ..fixture::pod(&set, name, Vec::new())
        };
        let newest = Arc::new(Newest::default());
        let (reports, heard) = mpsc::channel(1);
        let cancel = CancellationToken::new();
        let hear = Arc::clone(&newest).hear(heard, cancel.clone());
        let workers = async {
            for observed in [false, false, true] {
                for name in ["web-a", "web-b"] {
                    reports.send(report(name, observed)).await.expect("heard");
                }
            }
            // The channel holds one: all the others were taken in.
            drop(reports.reserve().await.expect("heard"));
            cancel.cancel();
        };
        tokio::join!(hear, workers);
        let taken = newest.take().await;
        assert_eq!(taken.len(), 2);
        assert!(taken.iter().all(|report| report.observed));
    }
}
