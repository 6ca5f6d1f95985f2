//! A registry of metrics that is passed around; there are no globals.
//!
//! Each module makes its metrics once, when it is built, and keeps the handles; the server writes
//! the registry's text. Names follow Prometheus' conventions: base units, and `_total` for
//! counters, which is added here.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram;
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::expose`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets for work that takes between a millisecond and a minute, in seconds.
pub const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

type Labels = Vec<(&'static str, String)>;
type NewHistogram = fn() -> histogram::Histogram;

/// Label names with their values.
pub type LabelValues<'a> = &'a [(&'static str, &'a str)];

/// The registry; cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Family<Labels, counter::Counter>);

/// A number that is set.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Family<Labels, gauge::Gauge<f64, AtomicU64>>);

/// How often something took how long.
#[derive(Debug, Clone)]
pub struct Histogram(Family<Labels, histogram::Histogram, NewHistogram>);

impl Metrics {
    /// An empty registry; every name begins with `setlet_`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix("setlet"))),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Registry) -> T) -> T {
        // A registry is never left half changed: a panic elsewhere does not spoil it.
        act(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a counter, exposed as `setlet_NAME_total`. A name is made once.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let made = Counter::default();
        self.with(|registry| registry.register(name, help.trim_end_matches('.'), made.0.clone()));
        made
    }

    /// Makes a gauge, exposed as `setlet_NAME`. A name is made once.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let made = Gauge::default();
        self.with(|registry| registry.register(name, help.trim_end_matches('.'), made.0.clone()));
        made
    }

    /// Makes a histogram of seconds over [`SECONDS`], exposed as `setlet_NAME`. A name is made once.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str) -> Histogram {
        let new: NewHistogram = || histogram::Histogram::new(SECONDS.iter().copied());
        let made = Histogram(Family::new_with_constructor(new));
        self.with(|registry| registry.register(name, help.trim_end_matches('.'), made.0.clone()));
        made
    }

    /// Everything that is known, as text of type [`CONTENT_TYPE`].
    #[must_use]
    pub fn expose(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        self.with(|registry| encode(&mut text, registry)).ok();
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn labels(values: LabelValues<'_>) -> Labels {
    values
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

impl Counter {
    /// Adds one.
    pub fn inc(&self, with: LabelValues<'_>) {
        self.add(with, 1);
    }

    /// Adds some.
    pub fn add(&self, with: LabelValues<'_>, by: u64) {
        self.0.get_or_create(&labels(with)).inc_by(by);
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, with: LabelValues<'_>, value: f64) {
        self.0.get_or_create(&labels(with)).set(value);
    }

    /// Forgets the series with these labels, for example of a pod that is gone.
    pub fn forget(&self, with: LabelValues<'_>) {
        self.0.remove(&labels(with));
    }
}

impl Histogram {
    /// Counts one that took this long.
    pub fn observe(&self, with: LabelValues<'_>, took: Duration) {
        self.0
            .get_or_create(&labels(with))
            .observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_was_made_is_exposed() {
        let metrics = Metrics::new();
        let reads = metrics.counter("file_reads", "Manifest files read.");
        let files = metrics.gauge("files", "Manifest files.");
        let scans = metrics.histogram("scan_seconds", "Scans.");
        reads.inc(&[("result", "ok")]);
        reads.add(&[("result", "ok")], 2);
        files.set(&[], 3.5);
        scans.observe(&[], Duration::from_millis(2));
        let text = metrics.clone().expose();
        for line in [
            "# HELP setlet_file_reads Manifest files read.",
            "# TYPE setlet_file_reads counter",
            "setlet_file_reads_total{result=\"ok\"} 3",
            "setlet_files{} 3.5",
            "setlet_scan_seconds_bucket{le=\"0.0025\"} 1",
            "setlet_scan_seconds_count{} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_series_can_be_forgotten() {
        let metrics = Metrics::new();
        let pods = metrics.gauge("pod_up", "Pods.");
        pods.set(&[("pod", "a")], 1.0);
        pods.forget(&[("pod", "a")]);
        assert!(!metrics.expose().contains("pod=\"a\""));
    }
}
