#!/bin/bash
# Guess: CRI's calls and list filters compare container and sandbox ids as wholes; `crictl rm 4f2` works because
# crictl looks the id up.
# True: containerd itself completes them: six digits will do for ContainerStatus, and the filters' id and
# podSandboxId take beginnings too. A shortened id, or an id cut off in a record, acts on a container
# instead of being not found.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
short() {
    cri <<'P'
sandbox = run_pod("one")
ident = create(sandbox, "one", container("main", "/bin/sleep", "600"))
start(ident)
told("ContainerStatus of 6 digits finds it", True, text(status(ident[:6]), 1) == ident)
count = lambda *filters: len(call("ListContainers", [(1, list(filters))]).get(1, []))
told("containers by the first 6 digits of the id", 1, count((1, ident[:6])))
told("containers by the first 6 digits of the sandbox", 1, count((3, sandbox[:6])))
told("RemoveContainer of 6 digits, running or not", {}, attempt("RemoveContainer", [(1, ident[:6])]))
told("containers left", 0, count())
P
}
for it in "${containerds[@]}"; do on_containerd "$it" short; done
