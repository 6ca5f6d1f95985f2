//! The end of the pods when the machine goes down: told to the coordinator, which stops them in the
//! order of sets, and waited for here.

use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::error::Error;
use super::notify::Notify;
use super::signals::{Signals, Told};
use super::tasks::Tasks;
use crate::clock;
use crate::model::Term;
use crate::model::time::later;
use crate::node;

/// What the runtime may take for stops whose time is over.
const LAST_STOPS: Duration = Duration::from_secs(10);

/// The line to the coordinator.
pub struct Shutdown {
    /// Says that the machine goes down.
    pub begin: watch::Sender<Option<Term>>,
    /// How many pods are still to stop; nothing before it began.
    pub to_rest: watch::Receiver<Option<usize>>,
}

/// Whether the pods are to be stopped before the agent is.
pub async fn is_wanted(told: Told, grace: Duration) -> bool {
    !grace.is_zero() && (told == Told::PowerOff || node::goes_down().await)
}

/// Stops all pods within `grace`, unless told a second time to stop.
pub async fn rest_pods(
    mut shutdown: Shutdown,
    grace: Duration,
    tasks: &mut Tasks,
    signals: &mut Signals,
) -> Result<(), Error> {
    let limit = grace.saturating_add(LAST_STOPS);
    info!(within = ?grace, "the machine goes down, the pods are stopped");
    Notify::extend_stop(limit);
    let since = clock::steady();
    let until = later(since, grace);
    shutdown.begin.send_replace(Some(Term { since, until }));
    let over = tokio::time::sleep(limit);
    tokio::pin!(over);
    loop {
        let left = *shutdown.to_rest.borrow_and_update();
        if let Some(left) = left {
            Notify::tell_text(&format!(
                "the machine goes down, {left} pods are still to stop"
            ));
        }
        if left == Some(0) {
            info!("all pods have stopped");
            return Ok(());
        }
        tokio::select! {
            Ok(()) = shutdown.to_rest.changed() => {}
            told = signals.next() => if told != Told::Reload {
                warn!(?left, "told to stop again, before all pods have stopped");
                return Ok(());
            },
            ended = tasks.next_end() => drop(ended.map_err(Error::Task)?),
            () = &mut over => {
                warn!(?left, "not all pods have stopped in time");
                return Ok(());
            }
        }
    }
}
