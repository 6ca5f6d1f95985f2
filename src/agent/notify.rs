//! What the service manager hears: `READY=1` once, and after each `RELOADING=1` again; `STATUS=` when it
//! changes, `WATCHDOG=1` after a completed pass of the coordinator. Nothing where there is no service
//! manager.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tracing::debug;

use super::reporter::is_settled;
use crate::model::{NodeView, Verdict};

/// The line of communication with the service manager.
#[derive(Debug, Default)]
pub struct Notify {
    ready: bool,
    status: String,
    /// Answers when what was told to be read again has been read.
    reloading: Option<oneshot::Receiver<()>>,
}

impl Notify {
    /// Tells what a newer view means, as far as it was not told.
    pub fn tell(&mut self, view: &NodeView) {
        let status = summary(view);
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
        if !self.ready && is_settled(view) {
            self.ready = true;
            send(&[NotifyState::Ready]);
        }
    }

    /// Tells that the configuration is being read again; `done` answers when it was.
    pub fn reloading(&mut self, done: oneshot::Receiver<()>) {
        // Before the first READY=1 there is nothing to go back to.
        if self.ready {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => send(&[NotifyState::Reloading, now]),
                Err(_) => send(&[NotifyState::Reloading]),
            }
            self.reloading = Some(done);
        }
    }

    /// Waits until the configuration was read again, and tells it; for ever where it is not being
    /// read. What is dropped while it waits goes on at the next call.
    pub async fn reloaded(&mut self) {
        match &mut self.reloading {
            // An error: nobody reads it any more, and nobody need wait either.
            Some(done) => drop(done.await),
            None => std::future::pending().await,
        }
        self.reloading = None;
        send(&[NotifyState::Ready]);
    }

    /// Asks for that much time to stop.
    pub fn extend_stop(time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        send(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// Tells how things are, in words.
    pub fn tell_text(text: &str) {
        send(&[NotifyState::Status(text)]);
    }

    /// Tells that the agent is ending.
    pub fn stopping() {
        send(&[NotifyState::Stopping]);
    }
}

/// Half the time after which the service manager loses patience; `None` where it has no watchdog.
#[must_use]
pub fn beat_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().and_then(|limit| limit.checked_div(2))
}

/// The coordinator has completed a pass.
pub fn beat() {
    send(&[NotifyState::Watchdog]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager could not be told");
    }
}

/// One line on how things are, as `systemctl status` shows it.
fn summary(view: &NodeView) -> String {
    let running = view.pods.values().filter(|pod| is_running(pod)).count();
    let elsewhere = view
        .sets
        .values()
        .filter(|set| !matches!(set.verdict, Verdict::Run))
        .count();
    let mut text = format!(
        "{} DaemonSets, {running} running, {elsewhere} not for this node, {} documents refused",
        view.sets.len(),
        view.snapshot.refused.len()
    );
    if let Some(reason) = view.trouble() {
        text = format!("{text}; {}", reason.message);
    }
    text
}

/// Whether every main container of a pod runs.
#[must_use]
pub fn is_running(pod: &crate::model::PodReport) -> bool {
    let containers = &pod.want.spec().containers;
    pod.have.as_ref().is_some_and(|have| {
        let runs = |name: &str| {
            have.newest(name)
                .is_some_and(crate::model::ObservedContainer::is_running)
        };
        !containers.is_empty() && containers.iter().all(|container| runs(&container.name))
    })
}
