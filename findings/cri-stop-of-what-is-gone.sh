#!/bin/bash
# Guess: stopping what is gone succeeds, as CRI demands of StopContainer and StopPodSandbox (idempotent), or at
# least all four calls agree.
# True: on 1.6 both Remove calls succeed and both Stop calls answer NOT_FOUND; from 1.7 on all four succeed.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
gone() {
    cri <<'P'
sandbox = run_pod("one")
ident = create(sandbox, "one", container("main", "/bin/sleep", "600"))
call("RemovePodSandbox", [(1, sandbox)])  # with its container, running as it is
word = lambda answer: "done" if answer == {} else answer.split(":")[0]
stop = "NOT_FOUND" if VERSION.startswith("1.6") else "done"
told("RemoveContainer", "done", word(attempt("RemoveContainer", [(1, ident)])))
told("RemovePodSandbox", "done", word(attempt("RemovePodSandbox", [(1, sandbox)])))
told("StopContainer", stop, word(attempt("StopContainer", [(1, ident)])))
told("StopPodSandbox", stop, word(attempt("StopPodSandbox", [(1, sandbox)])))
P
}
for it in "${containerds[@]}"; do on_containerd "$it" gone; done
