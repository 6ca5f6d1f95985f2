#!/bin/bash
# Guess: a name that CRI's ListImages shows is one that ImageStatus finds.
# True: names are completed for the list and not in the store. An image that was imported as `app:1`, as skopeo's oci-archive:FILE:app:1 is,
# is listed as docker.io/library/app:1, and ImageStatus finds it neither so nor as app:1, which is completed before it is looked
# for. Two images, stored as `app:1` and as the full name, are both listed with the same tag. Ask by id, or
# store full names only.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-12-01.
. "$(dirname "$0")/lib.sh"
try() {
    ctr_ images tag finding.test/pause:1 app:1 >/dev/null
    cri <<'P'
def names():
    return sorted(n.decode() for i in call("ListImages").get(1, []) for n in dec(i).get(2, []))
for _ in range(50):
    if len(names()) == 2: break
    time.sleep(0.1)
found = lambda name: 1 in call("ImageStatus", [(1, [(1, name)])])
told("names listed", ["docker.io/library/app:1", "finding.test/pause:1"], names())
told("docker.io/library/app:1 is found", False, found("docker.io/library/app:1"))
told("app:1 is found", False, found("app:1"))
told("finding.test/pause:1 is found", True, found("finding.test/pause:1"))
P
}
for it in "${containerds[@]}"; do on_containerd "$it" try; done
