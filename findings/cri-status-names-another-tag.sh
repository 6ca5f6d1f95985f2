#!/bin/bash
# Guess: ContainerStatus.image.image is the name that CreateContainer was given.
# True: it is the first of all names the image has now. Tagging it elsewhere, later, changes what a running
# container says it runs. Only when the image has no name left is the given one told again.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
tag() {
    cri <<'P'
import subprocess
sandbox = run_pod("one")
ident = create(sandbox, "one", container("main", "/bin/sleep", "600"))
start(ident)
image = lambda: text(dec(status(ident)[8][0]), 1)
told("image as created", "finding.test/pause:1", image())
ctr = ["ctr", "-n", "k8s.io", "-a", sys.argv[1], "images"]
subprocess.run([*ctr, "tag", "finding.test/pause:1", "docker.io/library/aaa:9"], stdout=subprocess.DEVNULL)
for _ in range(50):
    if image() != "finding.test/pause:1": break
    time.sleep(0.1)
told("image after another tag was made", "docker.io/library/aaa:9", image())
attempt("RemoveImage", [(1, [(1, "finding.test/pause:1")])])
told("image after it was removed", "finding.test/pause:1", image())
P
}
for it in "${containerds[@]}"; do on_containerd "$it" tag; done
