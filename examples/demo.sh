#!/bin/bash
# Runs the examples on a containerd of their own, and shows what the agent makes of them.
#
#   examples/demo.sh        as root; follows one pod's log until Ctrl-C, or for 6 s without a terminal
#
# All of it lies in one temporary directory, and all of it is gone afterwards. The machine's own
# containerd is not touched. SETLET_TEST_CONTAINERD=DIR takes containerd from DIR/usr/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
private=tests/node/private-containerd.sh
setlet=target/release/setlet
sets=(heartbeat node-watch log-tail)

step() { printf '\n== %s\n' "$*"; }

base=
finish() {
    local status=$?
    trap - EXIT
    # Ctrl-C again must not leave half of it behind.
    trap '' INT TERM
    if [ -n "$base" ]; then
        if [ "$status" != 0 ] && [ "$status" != 130 ] && [ -e "$base/agents/demo/agent.log" ]; then
            echo "the agent's log ends with:" >&2
            tail -n 20 "$base/agents/demo/agent.log" >&2
        fi
        step "Removing everything"
        "$private" destroy "$base"
        wait
        "$private" leftovers "$base"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

step "Building setlet"
cargo build --release --locked

step "Starting a containerd of its own"
"$private" sweep
base=$("$private" create $$)
agent=$base/agents/demo
# In a session of its own, so that Ctrl-C ends only what follows the log.
setsid "$private" run "$base" &
disown
"$private" ready "$base"
pause='{"Entrypoint": ["/bin/sh", "-c", "trap \"exit 0\" TERM INT; while :; do sleep 2147483 & wait $!; done"]}'
tests/node/busybox-image.sh "$base/pause.tar" setlet.test/pause:1 "$pause"
tests/node/busybox-image.sh "$base/busybox.tar" docker.io/library/busybox:latest
for image in pause busybox; do "$private" ctr "$base" images import "$base/$image.tar"; done

step "Starting the agent on examples/"
# A copy that only root can write: the agent refuses manifests that others could change.
install -d -m 755 "$agent/manifests"
install -m 644 examples/*.yaml "$agent/manifests"
cat >"$agent/config.yaml" <<END
apiVersion: setlet.dev/v1
kind: SetletConfiguration
nodeName: demo
nodeLabels: {topology.kubernetes.io/zone: here}
containerRuntimeEndpoint: unix://$base/containerd.sock
manifests: {path: $agent/manifests}
cgroupRoot: /$(basename "$base")
paths:
  state: $agent/state
  run: $agent/run
  images: $agent/images
  podLogs: $agent/log/pods
  containerLogs: $agent/log/containers
END
setsid "$setlet" run --config "$agent/config.yaml" >"$agent/agent.log" 2>&1 &
agent_pid=$!
disown

# The pod of a set whose container runs, if it does.
pod_of() {
    local id pod running
    running=$("$private" ctr "$base" tasks ls | awk '$3 == "RUNNING" {print $1}')
    for id in $("$private" ctr "$base" containers ls -q 'labels."io.cri-containerd.kind"==container'); do
        pod=$("$private" ctr "$base" containers info "$id" |
            sed -nE 's/.*"io.kubernetes.pod.name": "([^"]*)".*/\1/p' | head -n 1)
        case $pod in
        "$1"-?????) ! grep -qx "$id" <<<"$running" || { echo "$pod" && return; } ;;
        esac
    done
}

for set in "${sets[@]}"; do
    for ((i = 0; ; i++)); do
        pod=$(pod_of "$set")
        [ -z "$pod" ] || { echo "$pod runs" && break; }
        kill -0 "$agent_pid" 2>/dev/null || { echo "the agent ended" >&2 && exit 1; }
        ((i < 300)) || { echo "$set does not run after 30 s" >&2 && exit 1; }
        sleep 0.1
    done
done

step "setlet status"
"$setlet" status --socket "$agent/run/setlet.sock"
step "setlet explain gpu-only"
"$setlet" explain gpu-only --socket "$agent/run/setlet.sock"

pod=$(pod_of "${sets[0]}")
step "setlet logs -f $pod"
if [ -t 1 ]; then
    echo "(manifests: $agent/manifests; Ctrl-C ends the demo)"
    "$setlet" logs -f "$pod" --socket "$agent/run/setlet.sock" || true
else
    timeout 6 "$setlet" logs -f "$pod" --socket "$agent/run/setlet.sock" || [ $? = 124 ]
fi
