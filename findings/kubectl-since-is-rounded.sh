#!/bin/bash
# Guess: `kubectl logs --since=400ms` asks for at least what is wanted (sinceSeconds=1), and --since-time keeps the fraction
# of a second it is given.
# True: durations are rounded to the nearest second, halves up: 400ms asks for sinceSeconds=0, which Kubernetes' API refuses (it
# must be greater than 0); 1400ms asks for 1, too little. --since-time=…00.9Z asks for …00Z: the fraction is dropped,
# so that lines before the wanted time come too. (--since=0 is the default and asks for nothing.)
# Seen: kubectl 1.20.2, 1.32.3 and 1.36.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1
deb trixie kubectl=1.32.3+ds-2
deb sid kubectl=1.36.4+ds-1
serve <<'P'
def answer(request, path, query):
    if path.endswith("/log"):
        return 200, "&".join(part for part in query.split("&") if part.startswith("since")).encode() or b"nothing", {}
    return 200, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "default"},
                 "spec": {"containers": [{"name": "c"}]}}, {}
P
for suite in bookworm trixie sid; do
    for it in 0==nothing 400ms==sinceSeconds=0 500ms==sinceSeconds=1 1400ms==sinceSeconds=1 1500ms==sinceSeconds=2; do
        same "$suite, --since=${it%%==*} asks for" "${it#*==}" "$(kubectl_ "$suite" "" logs p --since="${it%%==*}")"
    done
    same "$suite, --since-time=2026-01-02T03:04:05.9Z asks for" sinceTime=2026-01-02T03%3A04%3A05Z \
        "$(kubectl_ "$suite" "" logs p --since-time=2026-01-02T03:04:05.9Z)"
done
