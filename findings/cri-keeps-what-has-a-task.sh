#!/bin/bash
# Guess: RemoveContainer and RemovePodSandbox take away whatever is left of a container, as CRI demands (forcibly), or
# a second call does.
# True: where containerd has a task of a container that its CRI takes for ended, as a start or stop that was cut off may
# leave one, both refuse with "cannot delete running task", whether the task runs or has stopped, as often as they are
# called. Deleting the task through containerd's own service frees both.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-12-01.
. "$(dirname "$0")/lib.sh"
before() {
    cri <<'P'
sandbox = run_pod("one")
ident = create(sandbox, "one", container("main", "/bin/sh", "-c", "exec sleep 600"))
start(ident)
call("StopContainer", [(1, ident)])
told("state after the stop", "exited", state(ident))
open(os.environ["work"] + "/ids", "w").write(f"{sandbox} {ident}")
P
}
after() {
    cri <<'P'
sandbox, ident = open(os.environ["work"] + "/ids").read().split()
kept = lambda answer: "cannot delete running task" in answer if isinstance(answer, str) else answer
told("CRI's state", "exited", state(ident))
for _ in range(3):
    told("RemoveContainer refuses", True, kept(attempt("RemoveContainer", [(1, ident)])))
told("RemovePodSandbox refuses", True, kept(attempt("RemovePodSandbox", [(1, sandbox)])))
P
}
freed() {
    cri <<'P'
sandbox, ident = open(os.environ["work"] + "/ids").read().split()
told("RemovePodSandbox", {}, attempt("RemovePodSandbox", [(1, sandbox)]))
P
}
kept() {
    local id
    before
    id=$(cut -d' ' -f2 "$work/ids")
    ctr_ tasks start --detach --null-io "$id"
    after
    ctr_ tasks kill --signal SIGKILL "$id"
    until ctr_ tasks ls | grep -q "$id.*STOPPED"; do sleep 0.1; done
    after
    ctr_ tasks rm "$id" >/dev/null
    freed
}
export work
for it in "${containerds[@]}"; do on_containerd "$it" kept; done
