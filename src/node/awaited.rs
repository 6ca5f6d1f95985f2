//! Looks at the paths, sockets and units that sets wait for: only those asked for, and only while
//! somebody asks.
//!
//! Files are looked at when something happens around them (inotify) and each second, sockets and
//! units each second; losing an event costs that second. It decides nothing: what follows from what
//! it found is `plan::order`'s.

mod events;
mod look;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::api::Condition;
use crate::model::HostConditions;

/// How often everything is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Events of a busy directory are taken together for this long.
const SETTLE: Duration = Duration::from_millis(20);

/// Looks at what `wanted` names, until cancelled. What it found is empty while nothing is wanted.
pub async fn watch_conditions(
    mut wanted: watch::Receiver<BTreeSet<Condition>>,
    found: watch::Sender<Arc<HostConditions>>,
    cancel: CancellationToken,
) {
    let watch = async {
        while wanted.wait_for(|wanted| !wanted.is_empty()).await.is_ok() {
            while_wanted(&mut wanted, &found).await;
            publish(&found, HostConditions::new());
        }
        // Nobody can ask any more: the agent is ending.
        std::future::pending().await
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = watch => {}
    }
}

/// Looks until nothing is wanted.
async fn while_wanted(
    wanted: &mut watch::Receiver<BTreeSet<Condition>>,
    found: &watch::Sender<Arc<HostConditions>>,
) {
    let mut events = events::Events::new();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let units = tokio::select! {
            _ = ticks.tick() => look::Units::Ask,
            changed = wanted.changed() => match changed {
                Ok(()) => look::Units::Ask,
                Err(_) => return,
            },
            () = events.next() => {
                tokio::time::sleep(SETTLE).await;
                look::Units::Known
            }
        };
        let asked = wanted.borrow_and_update().clone();
        if asked.is_empty() {
            return;
        }
        // Watched before it is looked at, so that nothing falls in between.
        events.follow(&asked).await;
        let known = Arc::clone(&found.borrow());
        publish(found, look::look(&asked, &known, units).await);
    }
}

fn publish(found: &watch::Sender<Arc<HostConditions>>, now: HostConditions) {
    found.send_if_modified(|known| {
        let changed = **known != now;
        if changed {
            *known = Arc::new(now);
        }
        changed
    });
}

#[cfg(test)]
mod tests;
