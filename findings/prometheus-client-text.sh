#!/bin/bash
# Guess: prometheus-client writes a counter registered as x_total as x_total, a help text as it was given, escaped as
# the format wants, and infinity as +Inf.
# True: it writes x_total_total (the suffix is always added), adds a full stop to every help text ("Ends already.." too), and
# does not escape it: a help text of two lines makes a page that promtool cannot read. Infinity is `inf`, which
# OpenMetrics does not know and Prometheus' own parser takes. Label values are escaped, label names are not checked.
# Seen: prometheus-client 0.25.2, promtool 2.42.0; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm prometheus=2.42.0+ds-5+deb12u1
rust_args=("$work")
rust 'prometheus-client = "=0.25.2"' >"$work/seen" <<'R'
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

fn main() {
    let mut one = Registry::default();
    let counter: Counter = Counter::default();
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(f64::INFINITY);
    one.register("requests_total", "Requests", counter);
    one.register("limit", "Ends already.", gauge);
    let mut two = Registry::default();
    two.register("lines", "First line\nsecond line", Gauge::<i64>::default());
    for (name, registry) in [("one", one), ("two", two)] {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        std::fs::write(format!("{}/{name}", std::env::args().nth(1).unwrap()), text).unwrap();
    }
}
R
same "the counter's sample" "requests_total_total 0" "$(grep -v '^#' "$work/one" | head -n 1)"
same "its help" "# HELP requests_total Requests." "$(grep 'HELP requests' "$work/one")"
same "the help that ended with a full stop" "# HELP limit Ends already.." "$(grep 'HELP limit' "$work/one")"
same "infinity" "limit inf" "$(grep '^limit' "$work/one")"
same "the second line of a help text" "second line." "$(sed -n 2p "$work/two")"
promtool() { "$work/bookworm/usr/bin/promtool" check metrics <"$1" 2>&1; }
same "promtool fails on the first page for its form" no "$(promtool "$work/one" | grep -q 'while parsing' && echo yes || echo no)"
like "promtool on the second page" 'while (parsing|linting)' "$(promtool "$work/two")"
