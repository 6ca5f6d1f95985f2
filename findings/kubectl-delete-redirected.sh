#!/bin/bash
# Guess: kubectl repeats a redirected request as it was, or refuses to; a DELETE that did not arrive is an error.
# True: a 301 or 302 turns a DELETE into a GET of the new place (as browsers do with POST), and kubectl takes the object that
# comes back for the answer: it says `deleted`, exit status 0, and nothing has been deleted. 307 keeps the method.
# Whoever serves kubectl from behind another path has to answer writes with 307 or 308.
# Seen: kubectl 1.20.2, 1.32.3 and 1.36.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1
deb trixie kubectl=1.32.3+ds-2
deb sid kubectl=1.36.4+ds-1
serve <<'P'
def answer(request, path, query):
    if path.startswith("/302/api/v1/namespaces/default/pods/") or path.startswith("/307/api/v1/namespaces/default/pods/"):
        return int(path[1:4]), b"", {"Location": path[4:]}
    return 200, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "default", "uid": "1"}}, {}
P
for suite in bookworm trixie sid; do
    for code in 302 307; do
        : >"$work/requests"
        said=$(kubectl_ "$suite" "/$code" delete pod p --wait=false) && status=0 || status=$?
        like "$suite, $code, kubectl says" '^pod "p" deleted' "$said"
        same "$suite, $code, exit status" 0 "$status"
        [ $code = 302 ] && arrived=GET || arrived=DELETE
        same "$suite, $code, what arrived at the new place" "$arrived /api/v1/namespaces/default/pods/p" "$(tail -n 1 "$work/requests")"
    done
done
