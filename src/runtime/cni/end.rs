//! Ends sandboxes whose notes or leases were lost.

use std::io;
use std::path::{Path, PathBuf};

use tonic::{Code, Status};
use tracing::warn;

use super::leases::{self, Lost};
use super::{RESULTS, forget_lost, told};
use crate::blocking::{Lane, Progress};
use crate::model::SandboxId;
use crate::runtime::Runtime;
use crate::runtime::error::is_connection_lost;

/// What was lost of a sandbox's network, as it was before the sandbox ended.
#[derive(Default)]
pub(in crate::runtime) struct Before {
    networks: Vec<PathBuf>,
    lost: Vec<Lost>,
    notes_were_lost: bool,
}

impl Runtime {
    /// Looks what was lost, before a sandbox is ended. What cannot be found out keeps none from ending.
    pub(in crate::runtime) async fn before_end(&self, sandbox: &SandboxId) -> Before {
        let networks = self.networks().await;
        let of = networks.clone();
        let mut lost = self
            .on_notes(sandbox, move |on| leases::lost(&of, on))
            .await
            .unwrap_or_default();
        if !lost.is_empty() {
            let info = self.inner.client.sandbox_info(sandbox).await;
            let ours = info.map(|info| told::addresses(&info)).unwrap_or_default();
            lost.retain(|lease| ours.contains(&lease.address));
        }
        Before {
            networks,
            lost,
            notes_were_lost: false,
        }
    }

    /// Whether a sandbox could not be ended and notes of its network, lost, were taken away, so that
    /// another try may do.
    pub(in crate::runtime) async fn notes_were_lost(
        &self,
        sandbox: &SandboxId,
        before: &mut Before,
        ended: &Result<(), Status>,
    ) -> bool {
        let Err(status) = ended else { return false };
        if is_connection_lost(status) || status.code() == Code::NotFound {
            return false;
        }
        let id = sandbox.clone();
        let forget = move |on: &Progress| forget_lost(Path::new(RESULTS), &id, on);
        let forgotten = self.on_notes(sandbox, forget).await;
        let were_lost = forgotten.is_some_and(|forgotten| !forgotten.is_empty());
        before.notes_were_lost |= were_lost;
        were_lost
    }

    /// Gives back what leases are left of a sandbox that has ended.
    pub(in crate::runtime) async fn after_end(&self, sandbox: &SandboxId, before: Before) {
        if before.lost.is_empty() && !before.notes_were_lost {
            return;
        }
        let id = sandbox.clone();
        self.on_notes(sandbox, move |on| {
            leases::give_back(&before.lost, on)?;
            match before.notes_were_lost {
                true => leases::give_back_all(&before.networks, &id, on),
                false => Ok(()),
            }
        })
        .await;
    }

    /// Where the leases of pods' addresses lie; asked for once there is a network.
    async fn networks(&self) -> Vec<PathBuf> {
        let known = self.inner.networks.lock();
        let known = known
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        if !known.is_empty() {
            return known;
        }
        let info = self.inner.client.info().await;
        let networks = info.map(|info| told::networks(&info)).unwrap_or_default();
        let mut known = self
            .inner
            .networks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known.clone_from(&networks);
        networks
    }

    /// Does something with notes and leases, on a thread; none where that failed, which is told.
    async fn on_notes<T: Send + 'static>(
        &self,
        sandbox: &SandboxId,
        work: impl FnOnce(&Progress) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let lane = Lane::own("the notes of pod networks");
        let done = self.inner.blocking.run(lane, work).await;
        match done.unwrap_or_else(|why| Err(io::Error::other(why))) {
            Ok(done) => Some(done),
            Err(error) => {
                warn!(%sandbox, %error, "the notes of its network cannot be looked at");
                None
            }
        }
    }
}
