//! Bytes of running pulls, from containerd's content store: what it is taking in right now.
//!
//! Only polled while a pull runs. Other runtimes do not tell; there the bytes stay 0.

use std::collections::BTreeMap;
use std::time::Duration;

use containerd_client::services::v1::ListStatusesRequest;
use containerd_client::services::v1::content_client::ContentClient;
use tonic::transport::Channel;

use crate::model::PullProgress;
use crate::runtime::containerd::in_namespace;

const INTERVAL: Duration = Duration::from_secs(1);

/// The downloads seen since the last time there were none.
#[derive(Debug)]
pub(super) struct Ingests {
    content: ContentClient<Channel>,
    seen: Seen,
}

impl Ingests {
    pub fn new(channel: Channel) -> Self {
        Self {
            content: ContentClient::new(channel),
            seen: Seen::default(),
        }
    }

    /// No pull runs: what was downloaded counts for none of those to come.
    pub fn forget(&mut self) {
        self.seen = Seen::default();
    }

    /// Waits a second and says how far the downloads are.
    pub async fn poll(&mut self) -> PullProgress {
        tokio::time::sleep(INTERVAL).await;
        let request = in_namespace(ListStatusesRequest::default());
        let active = match self.content.list_statuses(request).await {
            Ok(answer) => answer.into_inner().statuses,
            // A runtime without a content store, or one that is away: progress is only for show.
            Err(_) => return PullProgress::default(),
        };
        let active = active
            .into_iter()
            .map(|s| (s.r#ref, bytes(s.offset), bytes(s.total)));
        self.seen.update(active)
    }
}

fn bytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Downloads by their name: bytes done and in all. One that is no longer active is complete.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, (u64, u64)>);

impl Seen {
    fn update(&mut self, active: impl Iterator<Item = (String, u64, u64)>) -> PullProgress {
        let active: BTreeMap<_, _> = active
            .map(|(name, done, all)| (name, (done, all)))
            .collect();
        for (name, counts) in &mut self.0 {
            if !active.contains_key(name) {
                counts.0 = counts.1;
            }
        }
        self.0.extend(active);
        self.0
            .values()
            .fold(PullProgress::default(), |sum, (done, total)| PullProgress {
                done: sum.done + done,
                total: sum.total + total,
            })
    }
}
