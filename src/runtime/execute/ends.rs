//! Ends sandboxes, also those of which the runtime has lost something.

use super::{Stop, gone_is_done, is_kept, is_lost};
use crate::model::{Outcome, SandboxId};
use crate::runtime::Runtime;
use crate::runtime::error::Error;

impl Runtime {
    pub(super) async fn stop_sandbox(&self, id: &SandboxId) -> Result<Outcome, Stop> {
        let mut before = self.before_end(id).await;
        let mut stopped = self.inner.client.stop_sandbox(id).await;
        if self.notes_were_lost(id, &mut before, &stopped).await {
            stopped = self.inner.client.stop_sandbox(id).await;
        }
        if stopped.is_ok() {
            self.after_end(id, before).await;
        }
        if let Err(source) = stopped {
            gone_is_done(Error::StopSandbox {
                sandbox: id.clone(),
                source,
            })?;
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn remove_sandbox(&self, id: &SandboxId) -> Result<Outcome, Stop> {
        let client = &self.inner.client;
        let mut before = self.before_end(id).await;
        let mut removed = client.remove_sandbox(id).await;
        if self.notes_were_lost(id, &mut before, &removed).await
            || (is_lost(&removed) && self.restore_all(id).await?)
            || (is_kept(&removed) && self.delete_left_tasks(id).await?)
        {
            removed = client.remove_sandbox(id).await;
        }
        if removed.is_ok() {
            self.after_end(id, before).await;
        }
        if let Err(source) = removed {
            gone_is_done(Error::RemoveSandbox {
                sandbox: id.clone(),
                source,
            })?;
        }
        Ok(Outcome::Done)
    }
}
