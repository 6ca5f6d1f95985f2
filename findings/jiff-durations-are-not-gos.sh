#!/bin/bash
# Guess: jiff's "friendly" SignedDuration reads what Go's time.ParseDuration reads, and so what Kubernetes' flags,
# annotations and configurations hold.
# True: neither holds the other. Go takes `0`, `.5h`, `1.h`, units in any order and repeated (`1m1h`, `1h1h`) and the
# Greek mu (U+03BC); jiff refuses them. jiff takes `PT1H`, `1h 30m`, `1 hour ago`, `1hr` and `1:30:00`; Go refuses them.
# Seen: jiff 0.2.43, kubectl 1.36.4 (Go's parser behind --request-timeout); 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb sid kubectl=1.36.4+ds-1
texts=(1h30m 1.5h 0 .5h 1.h 1m1h 1h1h 1μs PT1H '1h 30m' '1 hour ago' 1hr 1:30:00 1d)
rust_args=("${texts[@]}")
rust 'jiff = { version = "=0.2.43", default-features = false, features = ["std"] }' >"$work/jiff" <<'R'
fn main() {
    for text in std::env::args().skip(1) {
        println!("{}", if text.parse::<jiff::SignedDuration>().is_ok() { "yes" } else { "no" });
    }
}
R
# `--since` of logs is read before any server is asked; a refused connection means that it was taken.
go() {
    local said
    said=$("$work/sid/usr/bin/kubectl" --kubeconfig=/dev/null --cache-dir="$work/cache" -s http://127.0.0.1:1 logs p --since="$1" 2>&1 || true)
    case $said in *"invalid argument"*) echo no ;; *refused*) echo yes ;; *) echo "$said" ;; esac
}
told=(yes/yes yes/yes yes/no yes/no yes/no yes/no yes/no yes/no no/yes no/yes no/yes no/yes no/yes no/no)
for i in "${!texts[@]}"; do
    same "'${texts[i]}' taken by Go/jiff" "${told[i]}" "$(go "${texts[i]}")/$(sed -n $((i + 1))p "$work/jiff")"
done
