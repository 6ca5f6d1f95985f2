#!/bin/bash
# Guess: jiff's Timestamp holds every RFC 3339 time, whose years have four digits: 0000 to 9999.
# True: the largest is 9999-12-30T22:00:00Z, so that every zone's local time stays in 9999. `9999-12-31T23:59:59Z`,
# the usual "never ends" of certificates, tokens and time stamps, does not parse; kubectl (Go) takes it. On
# the other hand jiff takes a leap second, as the second before it, and Go refuses it.
# Seen: jiff 0.2.43, kubectl 1.36.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb sid kubectl=1.36.4+ds-1
rust 'jiff = { version = "=0.2.43", default-features = false, features = ["std"] }' >"$work/seen" <<'R'
fn main() {
    println!("{}", jiff::Timestamp::MAX);
    for text in ["9999-12-31T23:59:59Z", "2016-12-31T23:59:60Z"] {
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => println!("{time}"),
            Err(error) => println!("error: {error}"),
        }
    }
}
R
like "jiff's largest" '^9999-12-30T22:00:00(\.9+)?Z$' "$(sed -n 1p "$work/seen")"
like "jiff, end of 9999" '^error: .*253402207200' "$(sed -n 2p "$work/seen")"
same "jiff, leap second" "2016-12-31T23:59:59Z" "$(sed -n 3p "$work/seen")"
serve <<'P'
def answer(request, path, query):
    if path.endswith("/log"):
        return 200, b"asked for " + query.encode(), {}
    return 200, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "default"},
                 "spec": {"containers": [{"name": "c"}]}}, {}
P
like "kubectl, end of 9999" 'sinceTime=9999-12-31T23%3A59%3A59Z' "$(kubectl_ sid "" logs p --since-time=9999-12-31T23:59:59Z)"
like "kubectl, leap second" 'second out of range' "$(kubectl_ sid "" logs p --since-time=2016-12-31T23:59:60Z || true)"
