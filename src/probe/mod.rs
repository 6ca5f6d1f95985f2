//! Probes: asks running containers whether they are well, as often as their pods say, and tells
//! what the answers add up to. And hooks, which are asked in the same ways.
//!
//! Decides nothing but when a probe is due ([`Schedule`], pure): what a failure means is the plan's
//! to say. Starts no task: [`run`] is polled beside the worker it belongs to and asks everything at
//! the same time, so that a probe that hangs delays nothing. Follows kubelet v1.36's prober
//! (`pkg/kubelet/prober`, `pkg/probe`).

mod bounded;
mod exec;
mod grpc;
mod heads;
mod hook;
mod http;
mod schedule;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

pub use hook::run_hook;
pub use schedule::Schedule;

use crate::clock::{self, After};
use crate::model::time::between;
use crate::model::{Answer, Check, ContainerId, ProbeTarget, Probed};
use crate::runtime::Runtime;

/// What the probes are put by. The real one is [`ask`]; a stand-in answers from memory.
#[expect(
    async_fn_in_trait,
    reason = "the agent is one thread: its tasks need not be Send"
)]
pub trait Ask {
    /// Puts one question to a container and gives it that long to answer.
    async fn ask(&self, container: &ContainerId, check: &Check, timeout: Duration) -> Answer;
}

/// Probes what `targets` names and keeps `results` at what the answers add up to, until nobody
/// names targets any more. `heard` is told of each answer.
pub async fn run(
    asker: &impl Ask,
    mut targets: watch::Receiver<Arc<Vec<ProbeTarget>>>,
    results: watch::Sender<Arc<Probed>>,
    now: fn() -> Timestamp,
    heard: impl Fn(&ProbeTarget, &Answer),
) {
    let mut schedule = Schedule::default();
    let mut asked = FuturesUnordered::new();
    loop {
        for target in schedule.take_due(now()) {
            asked.push(put(asker, target, now()));
        }
        let due = async {
            match schedule.next_at() {
                Some(next) => clock::sleep(now, between(now(), next)).await,
                None => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                let newest = Arc::clone(&targets.borrow_and_update());
                schedule.set_targets(&newest, now());
                true
            }
            Some((target, answer, at)) = asked.next(), if !asked.is_empty() => {
                heard(&target, &answer);
                schedule.record(&(target.id, target.kind), &answer, at, now())
            }
            () = due => false,
        };
        if changed {
            results.send_if_modified(|told| {
                let differs = **told != *schedule.results();
                if differs {
                    *told = Arc::new(schedule.results().clone());
                }
                differs
            });
        }
    }
}

/// Puts one probe's question, at `at`.
async fn put(
    asker: &impl Ask,
    target: ProbeTarget,
    at: Timestamp,
) -> (ProbeTarget, Answer, Timestamp) {
    let answer = asker
        .ask(&target.id, &target.check, target.timing.timeout)
        .await;
    match &answer {
        Answer::Success => {}
        Answer::Failure(why) | Answer::Unknown(why) => {
            debug!(container = %target.container, probe = target.kind.word(), why, "not well");
        }
    }
    (target, answer, at)
}

/// Asks a container as a probe does. `node` is the host for checks that name none.
pub async fn ask(
    runtime: &Runtime,
    node: &str,
    container: &ContainerId,
    check: &Check,
    timeout: Duration,
) -> Answer {
    let host = |host: &Option<String>| host.clone().unwrap_or_else(|| node.to_owned());
    match check {
        Check::Exec { command } => exec::ask(runtime, container, command.clone(), timeout).await,
        Check::Http {
            host: named,
            port,
            path,
            tls,
            headers,
        } => {
            let url = http::Url::new(*tls, &host(named), *port, path);
            let (headers, late) = (http::probe_headers(headers, *tls), http::late(&url));
            let deadline = Instant::now().after(timeout);
            let asked = tokio::time::timeout_at(deadline, http::ask(url, headers, deadline)).await;
            asked.unwrap_or(Answer::Failure(late))
        }
        Check::Tcp { host: named, port } => {
            let host = host(named);
            let asked = tokio::time::timeout(timeout, tcp::ask(&host, *port)).await;
            asked.unwrap_or_else(|_| Answer::Failure(tcp::late(&host, *port)))
        }
        Check::Grpc {
            host: named,
            port,
            service,
        } => grpc::ask(&host(named), *port, service, timeout).await,
        Check::Sleep { .. } => Answer::Unknown("sleep is no probe".to_owned()),
        Check::Invalid { why } => Answer::Unknown(why.clone()),
    }
}
