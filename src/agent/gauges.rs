//! Gauges of how things are, set from each newer view: what an operator alerts on.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::notify::is_running;
use crate::blocking::Blocking;
use crate::metrics::{Gauge, Metrics};
use crate::model::{NodeView, Verdict};

/// The gauges.
pub struct Gauges {
    sets: Gauge,
    pods: Gauge,
    held_back: Gauge,
    runtime: Gauge,
}

impl Gauges {
    /// Makes the gauges; once for a registry.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            sets: metrics.gauge("daemonsets", "DaemonSets by what is decided for this node."),
            pods: metrics.gauge("pods", "Pods by whether all their main containers run."),
            held_back: metrics.gauge(
                "reasons",
                "Reasons why something is not as wanted, by word.",
            ),
            runtime: metrics.gauge("runtime_up", "Whether the container runtime answers."),
        }
    }

    /// Follows the view until cancelled.
    pub async fn follow(self, mut view: watch::Receiver<Arc<NodeView>>, cancel: CancellationToken) {
        let mut words = Vec::new();
        loop {
            let newest = view.borrow_and_update().clone();
            self.set(&newest, &mut words);
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = view.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sets every gauge; `words` are the reasons that have one, so that those no longer given go.
    fn set(&self, view: &NodeView, words: &mut Vec<String>) {
        let count = |wanted: fn(&Verdict) -> bool| {
            as_float(
                view.sets
                    .values()
                    .filter(|set| wanted(&set.verdict))
                    .count(),
            )
        };
        self.sets.set(&[("verdict", "run")], count(Verdict::runs));
        self.sets.set(
            &[("verdict", "keep")],
            count(|v| matches!(v, Verdict::Keep(_))),
        );
        self.sets.set(
            &[("verdict", "stop")],
            count(|v| matches!(v, Verdict::Stop(_))),
        );
        let running = view.pods.values().filter(|pod| is_running(pod)).count();
        self.pods.set(&[("state", "running")], as_float(running));
        self.pods
            .set(&[("state", "waiting")], as_float(view.pods.len() - running));
        self.runtime
            .set(&[], as_float(usize::from(view.runtime.is_none())));

        let of_pods = view.pods.values().flat_map(|pod| &pod.plan.reasons);
        let of_sets = view.sets.values().flat_map(|set| &set.reasons);
        let given: Vec<&str> = of_pods
            .chain(of_sets)
            .map(|reason| reason.word.as_str())
            .collect();
        words.retain(|word| {
            let stays = given.contains(&word.as_str());
            if !stays {
                self.held_back.forget(&[("reason", word)]);
            }
            stays
        });
        for word in &given {
            let times = given.iter().filter(|other| *other == word).count();
            self.held_back.set(&[("reason", word)], as_float(times));
            if !words.iter().any(|known| known == word) {
                words.push((*word).to_owned());
            }
        }
    }
}

/// What writes the registry's text: with how many threads hang at that moment, which no view says.
pub fn exposer(metrics: &Metrics, blocking: Blocking) -> Arc<dyn Fn() -> String + Send + Sync> {
    let hung = metrics.gauge(
        "hung_threads",
        "Threads that wait for a file system that does not answer.",
    );
    let metrics = metrics.clone();
    Arc::new(move || {
        hung.set(&[], as_float(blocking.hung().len()));
        metrics.expose()
    })
}

/// Counts here are far below where a float loses whole numbers.
fn as_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
