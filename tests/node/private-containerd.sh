#!/bin/bash
# A containerd of its own for tests and the demo: root, state, socket, CNI network and runc state
# lie under one temporary directory, BASE. The machine's own containerd is never touched.
#
#   private-containerd.sh create OWNER-PID   makes a BASE with its configuration and prints it
#   private-containerd.sh run BASE           becomes that containerd (exec), in the foreground
#   private-containerd.sh ready BASE         waits until its CRI answers
#   private-containerd.sh ctr BASE ARG...    ctr on it, in the namespace of CRI
#   private-containerd.sh halt BASE          as a power cut: ends every process of it, unmounts
#   private-containerd.sh reboot BASE        halt, and what a boot finds gone is gone
#   private-containerd.sh destroy BASE...    halt, and removes BASE
#   private-containerd.sh sweep              destroys every BASE whose owner is dead
#   private-containerd.sh leftovers BASE     prints what of BASE is still there; nothing is good
#
# SETLET_TEST_CONTAINERD=DIR takes containerd, its shim and ctr from DIR/usr/bin.
# Processes are ended by their ids only, and found by what only they have: an overlay root under
# BASE, or a command line that names BASE run by one of the programs started here.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
[ -z "${SETLET_TEST_CONTAINERD:-}" ] || PATH=$(realpath "$SETLET_TEST_CONTAINERD")/usr/bin:$PATH
export PATH

pause=setlet.test/pause:1

# Without CAP_SYS_RESOURCE an oom_score_adj below the current one cannot be set, and every sandbox
# would fail with "can't get final child's PID from pipe".
restrict_oom() {
    local effective
    effective=$(sed -n 's/^CapEff:\t//p' /proc/self/status)
    if (((0x$effective >> 24) & 1)); then echo false; else echo true; fi
}

write_config_2() { # containerd 1.6 and 1.7
    cat <<END
version = 2
root = "$1/root"
state = "$1/state"
[grpc]
  address = "$1/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$1/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause"
  restrict_oom_score_adj = $(restrict_oom)
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$1/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$1/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$1/state/runc"
END
}

write_config_3() { # containerd 2.x
    cat <<END
version = 3
root = "$1/root"
state = "$1/state"
[grpc]
  address = "$1/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$1/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images"]
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$pause"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "$1/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = $(restrict_oom)
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$1/cni/conf"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      Root = "$1/state/runc"
END
}

# A network no other on this machine has: 10.A.B.0/20 with a bridge named after BASE.
write_network() {
    local base=$1 net=$2 a b
    while :; do
        a=$((200 + RANDOM % 50)) b=$((RANDOM % 16 * 16))
        ip -4 route | grep -q "^10\.$a\.$b\.0/" || break
    done
    cat >"$base/cni/conf/10-setlet.conflist" <<END
{"cniVersion": "0.4.0", "name": "$net", "plugins": [
  {"type": "bridge", "bridge": "$net", "isGateway": true, "isDefaultGateway": true,
   "ipam": {"type": "host-local", "dataDir": "$base/cni/leases", "subnet": "10.$a.$b.0/20"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
}

# Every registry is the one at BASE/registry.port, which may or may not be running: no test and no
# demo depends on, or waits for, a registry in the outside world.
write_registry() {
    local base=$1 port=$((20000 + RANDOM % 10000))
    echo "$port" >"$base/registry.port"
    mkdir -p "$base/certs.d/_default"
    cat >"$base/certs.d/_default/hosts.toml" <<END
server = "http://127.0.0.1:$port"
[host."http://127.0.0.1:$port"]
  capabilities = ["pull", "resolve"]
END
    cat >"$base/registry.yml" <<END
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $base/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port"}
END
}

create() {
    local owner=$1 base net
    base=$(mktemp -d "${TMPDIR:-/tmp}/setlet-XXXXXXXX")
    chmod 711 "$base"
    mkdir -p "$base"/{root,state,opt,cni/conf,cni/leases}
    # The start time tells the owner from a later process with the same id.
    echo "$owner $(start_time "$owner")" >"$base/owner"
    net=$(network "$base")
    if containerd --version | grep -q 'containerd/v2'; then
        write_config_3 "$base"
    else
        write_config_2 "$base"
    fi >"$base/config.toml"
    write_network "$base" "$net"
    write_registry "$base"
    echo "$base"
}

network() { # the name of BASE's bridge and CNI network; no other has it
    echo "slt-${1##*-}"
}

start_time() { # of a process, in clock ticks after boot; empty when there is none
    [ ! -r "/proc/$1/stat" ] || sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20
}

ready() {
    local base=$1 i
    for ((i = 0; i < 300; i++)); do
        if timeout 5 ctr -a "$base/containerd.sock" plugins ls 2>/dev/null |
            grep -Eq 'io\.containerd\.grpc\.v1 +cri .* ok'; then
            return 0
        fi
        sleep 0.1
    done
    echo "containerd at $base has no CRI after 30 s:" >&2
    tail -n 20 "$base/containerd.log" >&2 || true
    return 1
}

# The ids of the programs started for BASE: containerd, shims, agents, registry.
programs() {
    local base=$1 pid exe
    for pid in $(grep -slF -e "$base/" /proc/[0-9]*/cmdline | cut -d/ -f3); do
        exe=$(readlink "/proc/$pid/exe") || continue
        case $(basename "${exe% (deleted)}") in
        containerd | containerd-shim-runc-v2 | runc | ctr | setlet | docker-registry) echo "$pid" ;;
        esac
    done
}

# The ids of the processes whose root is a snapshot under BASE: those in its containers.
contained() {
    grep -slE "^[0-9]+ [0-9]+ [0-9:]+ / / .* - overlay overlay .*upperdir=$1/" \
        /proc/[0-9]*/mountinfo | cut -d/ -f3
}

# Agents put their pods under the cgroup that is named as BASE is: they are told so. Where they take
# systemd for the driver it is a slice, in which `_` stands for `-`.
cgroups() {
    local name
    name=$(basename "$1")
    ls -d /sys/fs/cgroup/{,*/}{"$name","${name//-/_}.slice"} 2>/dev/null || true
}

# Those of the agents, and the paths, one a line, of other containers that were killed.
remove_cgroups() {
    local path root
    while read -r path; do
        for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
            [ ! -d "$root$path" ] || rmdir "$root$path" 2>/dev/null || true
        done
    done
    for root in $(cgroups "$1"); do
        find "$root" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

kill_all() {
    local base=$1 pids i cgroups=$1/cgroups
    : >"$cgroups"
    for ((i = 0; i < 100; i++)); do
        pids=$(programs "$base" || true; contained "$base" || true)
        [ -n "$pids" ] || break
        for pid in $(contained "$base" || true); do
            sed -nE 's/^[0-9]+:[^:]*:(\/.*[0-9a-f]{64}.*)$/\1/p' "/proc/$pid/cgroup" 2>/dev/null >>"$cgroups" || true
        done
        # shellcheck disable=SC2086
        kill -9 $pids 2>/dev/null || true
        sleep 0.05
    done
    sort -u "$cgroups" | remove_cgroups "$base"
    rm -f "$cgroups"
}

mounts() { # below BASE, the last mounted first
    awk -v b="$1/" 'index($5, b) == 1 {print $5}' /proc/self/mountinfo | tac
}

# Nothing may be removed while this fails: a bind mount would lead out of BASE.
unmount_all() {
    local base=$1 i path
    for ((i = 0; i < 20; i++)); do
        [ -n "$(mounts "$base")" ] || return 0
        # The kernel writes a space in a path as \040.
        mounts "$base" | while read -r path; do
            umount -l "$(printf '%b' "$path")" 2>/dev/null || true
        done
    done
    echo "still mounted: $(mounts "$base")" >&2
    return 1
}

# Host ports are rules that name their network; a container killed without CNI leaves them.
remove_host_ports() {
    local net=$1 rules chains chain
    command -v iptables-save >/dev/null || return 0
    rules=$(iptables-save -t nat 2>/dev/null | grep -F "\"$net\\\"" | grep '^-A') || return 0
    chains=$(echo "$rules" | grep -oE 'CNI-(DN|SN)-[0-9a-f]+' | sort -u) || true
    {
        echo '*nat'
        for chain in $chains; do echo "-F $chain"; done
        echo "$rules" | grep -vE '^-A CNI-(DN|SN)-' | sed 's/^-A/-D/'
        for chain in $chains; do echo "-X $chain"; done
        echo COMMIT
    } | iptables-restore -n || true
}

halt() {
    local base=$1 net
    net=$(network "$base")
    kill_all "$base"
    # Shims listen in a directory that is the same for every containerd; they noted where.
    grep -shoE '/run/containerd/s/[0-9a-f]{64}' \
        "$base"/state/io.containerd.runtime.v2.task/*/*/{address,bootstrap.json} |
        sort -u | xargs -r rm -f || true
    unmount_all "$base"
    remove_host_ports "$net"
    ! ip link show "$net" >/dev/null 2>&1 || ip link del "$net"
    rm -f "/var/lib/cni/results/$net-"* "$base/containerd.sock" "$base/containerd.sock.ttrpc"
}

reboot() {
    local base=$1
    halt "$base"
    # /run is a tmpfs: state, network namespaces and the agents' sockets go. The leases of
    # host-local lie in /var/lib and stay.
    rm -rf --one-file-system "$base/state" "$base"/agents/*/run
    mkdir "$base/state"
}

destroy() {
    local base i
    for base in "$@"; do
        [ -e "$base/owner" ] || { echo "$base is not one of ours" >&2; return 1; }
        # A program that is being started may still write: then once more.
        for ((i = 0; i < 5; i++)); do
            halt "$base"
            # Its owner goes last: without one, sweep would not find the rest.
            find "$base" -xdev -depth -mindepth 1 ! -path "$base/owner" -delete 2>/dev/null || continue
            rm -f "$base/owner"
            rmdir "$base" && continue 2
        done
        echo "$base could not be removed" >&2
        return 1
    done
}

sweep() {
    local file owner started
    for file in "${TMPDIR:-/tmp}"/setlet-*/owner; do
        [ -r "$file" ] || continue
        read -r owner started <"$file" || true
        if [ "$(start_time "$owner")" != "$started" ]; then
            echo "removing what a killed run left in $(dirname "$file")" >&2
            destroy "$(dirname "$file")"
        fi
    done
}

leftovers() {
    local base=$1 net
    net=$(network "$base")
    programs "$base" | sed 's/^/process /' || true
    contained "$base" | sed 's/^/process in a container /' || true
    mounts "$base" | sed 's/^/mount /'
    cgroups "$base" | sed 's/^/cgroup /'
    ip -o link | grep -F "$net" | sed 's/^/link /' || true
    ip -o netns | grep -F "$base" | sed 's/^/network namespace /' || true
    iptables-save 2>/dev/null | grep -F "\"$net\\\"" | sed 's/^/rule /' || true
    ls -d "/var/lib/cni/results/$net-"* "$base" 2>/dev/null | sed 's/^/file /' || true
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
create | ready | halt | reboot | destroy | sweep | leftovers) "$verb" "$@" ;;
run) exec containerd --config "$1/config.toml" >>"$1/containerd.log" 2>&1 ;;
ctr) base=$1 && shift && exec ctr -n k8s.io -a "$base/containerd.sock" "$@" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
