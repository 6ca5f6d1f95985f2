#!/bin/bash
# Guess: a container's finishedAt is never before its startedAt, and after StartContainer has answered the state
# that comes next is running, then exited.
# True: containerd notes startedAt after the process has been started, the exit comes by another way, with the
# shim's time. Of containers that end at once some have finished before they started, by up to a millisecond
# or so. An agent that takes "exited before it was started" for an old answer waits for ever.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9, 3 to 5 of 12; 2026-11-30. Up to 150 are started until it is seen.
. "$(dirname "$0")/lib.sh"
race() {
    cri <<'P'
sandbox = run_pod("one")
for tries in range(1, 151):
    ident = create(sandbox, "one", container(f"c{tries}", "/bin/true"))
    start(ident)
    for _ in range(100):
        if state(ident) == "exited": break
        time.sleep(0.02)
    seen = status(ident)
    early = seen[5][0] - seen[6][0]
    if early > 0: break
    attempt("RemoveContainer", [(1, ident)])
print(f"container {tries} finished {early / 1000:.0f} µs before it was started, exit code {seen.get(7, [0])[0]}")
told("one finished before it was started", True, early > 0)
P
}
for it in "${containerds[@]}"; do on_containerd "$it" race; done
