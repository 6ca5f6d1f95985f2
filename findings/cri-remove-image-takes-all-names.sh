#!/bin/bash
# Guess: CRI's RemoveImage of one tag takes that tag away, as `docker rmi` does, and refuses what a container uses.
# True: it removes the image the name stands for, under every name it has, other repositories' and the sandbox
# image's among them, while a container of it runs. The next sandbox then wants to pull. To take one name
# away one has to go around CRI (`ctr images rm`). A name that is not there is removed without an error.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
names() {
    ctr_ images tag finding.test/pause:1 docker.io/library/app:1 >/dev/null
    ctr_ images tag finding.test/pause:1 other.test/app:2 >/dev/null
    cri <<'P'
def names():
    return sorted(n.decode() for i in call("ListImages").get(1, []) for n in dec(i).get(2, []))
for _ in range(50):
    if len(names()) == 3: break
    time.sleep(0.1)
told("names before", ["docker.io/library/app:1", "finding.test/pause:1", "other.test/app:2"], names())
sandbox = run_pod("one")
running = create(sandbox, "one", container("main", "/bin/sleep", "600"))
start(running)
told("RemoveImage of docker.io/library/app:1", {}, attempt("RemoveImage", [(1, [(1, "docker.io/library/app:1")])]))
told("names after", [], names())
told("the container is", "running", state(running))
told("RemoveImage of a name that is not there", {}, attempt("RemoveImage", [(1, [(1, "never.test/x:1")])]))
P
}
for it in "${containerds[@]}"; do on_containerd "$it" names; done
