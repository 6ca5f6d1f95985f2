#!/bin/bash
# Guess: kubectl shows 429 and 503 to its user, at most a GET is tried once more.
# True: with a Retry-After header any request, a POST too, is sent 11 times, silently and Retry-After apart, before the error is
# shown; without the header it is sent once. A server that says 503 with Retry-After has its clients wait ten times as long,
# and one that had done the work before it said so gets the work ten more times.
# Seen: kubectl 1.20.2, 1.32.3 and 1.36.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1
deb trixie kubectl=1.32.3+ds-2
deb sid kubectl=1.36.4+ds-1
serve <<'P'
def answer(request, path, query):
    code = int(path[1:4])
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "later", "code": code,
              "reason": {429: "TooManyRequests", 503: "ServiceUnavailable"}[code]}
    return code, status, {"Retry-After": "1"} if path.startswith(f"/{code}/again/") else {}
P
for suite in bookworm trixie sid; do
    for code in 429 503; do
        for way in again once; do
            [ $way = again ] && count=11 || count=1
            for command in "get pod p" "create configmap x --from-literal=a=b"; do
                : >"$work/requests"
                # shellcheck disable=SC2086
                said=$(kubectl_ "$suite" "/$code/$way" $command) && status=0 || status=$?
                same "$suite, $code $way, ${command%% *}, requests" "$count" "$(grep -cE '/(pods/p|configmaps)$' "$work/requests")"
                like "$suite, $code $way, ${command%% *}, says" 'later' "$said"
            done
        done
    done
done
