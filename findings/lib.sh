# Read by the scripts beside it: a temporary folder, pinned packages, checks, and a containerd of
# its own. Everything a script starts is ended by process id, and its folder removed, when it ends.
#
# Exit status of a finding: 0 as described, 1 something changed, 3 a pinned package is not offered
# any more. FINDINGS_CACHE=DIR keeps apt's lists and packages between runs.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/finding-XXXXXXXX")
chmod 755 "$work"
changed=0
pids=()

unmount_all() {
    local i path
    for ((i = 0; i < 5; i++)); do
        awk -v b="$work/" 'index($5, b) == 1 {print $5}' /proc/self/mountinfo | tac |
            while read -r path; do umount -l "$path" || true; done
    done
}

finish() {
    local status=$? pid
    trap - EXIT
    set +e
    [ ! -S "$work/c/containerd.sock" ] || containerd_down
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    unmount_all
    rm -rf --one-file-system "$work"
    [ "$status" -ne 0 ] || [ "$changed" -eq 0 ] || status=1
    exit "$status"
}
trap finish EXIT

# same WHAT EXPECTED SEEN: says what is seen, and remembers when it is not what the finding tells.
same() {
    if [ "$2" = "$3" ]; then
        echo "as told  $1: $3"
    else
        echo "CHANGED  $1: told '$2', seen '$3'"
        changed=1
    fi
}

# like WHAT PATTERN SEEN: the same with an extended regular expression.
like() {
    if grep -Eq -- "$2" <<<"$3"; then
        echo "as told  $1: $3"
    else
        echo "CHANGED  $1: told /$2/, seen '$3'"
        changed=1
    fi
}

# deb SUITE PACKAGE=VERSION...: unpacks packages of a Debian suite into $work/SUITE, installs nothing.
# apt fetches with lists of its own from the mirror that this machine uses for Debian.
deb() {
    local suite=$1 cache=${FINDINGS_CACHE:-$work/apt}/$1 mirror want file
    shift
    mkdir -p "$cache/lists/partial" "$cache/archives/partial" "$cache/deb" "$work/$suite"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        grep -v -e security -e backports | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?apt knows no mirror of Debian} $suite main" \
        >"$cache/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::SourceList=$cache/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$cache/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$cache"
        -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none)
    [ -e "$cache/updated" ] || { "${apt[@]}" update && touch "$cache/updated"; }
    for want in "$@"; do
        file=$cache/deb/$want.deb
        if [ ! -e "$file" ]; then
            (cd "$cache/archives/partial" && "${apt[@]}" download "$want" && mv ./*.deb "$file") >&2 ||
                { echo "Debian $suite no longer offers $want" >&2; exit 3; }
        fi
        dpkg-deb -x "$file" "$work/$suite"
        echo "using    $want (Debian $suite)"
    done
}

# rust DEPENDENCY...: runs the program on stdin with these lines of [dependencies] in a package of its
# own; the array rust_args holds its arguments.
rust_args=()
rust() {
    local dir=$work/rust
    mkdir -p "$dir/src"
    cat >"$dir/src/main.rs"
    {
        printf '[package]\nname = "finding"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n'
        printf '%s\n' "$@"
    } >"$dir/Cargo.toml"
    printf 'using    %s\n' "$@" >&2
    (cd "$dir" && CARGO_TARGET_DIR=${FINDINGS_CACHE:-$dir}/target cargo run -q -- "${rust_args[@]}")
}

# image FILE NAME: an OCI archive of one layer, with the busybox that `deb bookworm` unpacked.
image() {
    python3 - "$1" "$2" "$work/bookworm/bin/busybox" <<'PY'
import gzip, hashlib, io, json, sys, tarfile
file, name, busybox = sys.argv[1:]
def member(tar, path, data, mode=0o644):
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
raw = io.BytesIO()
with tarfile.open(fileobj=raw, mode="w") as tar:
    for d in ("bin", "tmp"):
        info = tarfile.TarInfo(d); info.type = tarfile.DIRTYPE; info.mode = 0o755
        tar.addfile(info)
    member(tar, "bin/busybox", open(busybox, "rb").read(), 0o755)
    for link in ("sh", "sleep", "true", "cat", "ls", "env", "echo", "seq"):
        info = tarfile.TarInfo("bin/" + link); info.type = tarfile.SYMTYPE; info.linkname = "busybox"
        tar.addfile(info)
layer = gzip.compress(raw.getvalue(), 1, mtime=0)
digest = lambda b: "sha256:" + hashlib.sha256(b).hexdigest()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"],
    "Cmd": ["/bin/sleep", "600"]}, "rootfs": {"type": "layers", "diff_ids": [digest(raw.getvalue())]}}).encode()
kind = "application/vnd.oci.image."
manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
    "config": {"mediaType": kind + "config.v1+json", "digest": digest(config), "size": len(config)},
    "layers": [{"mediaType": kind + "layer.v1.tar+gzip", "digest": digest(layer), "size": len(layer)}]}).encode()
index = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": kind + "manifest.v1+json",
    "digest": digest(manifest), "size": len(manifest), "annotations": {"io.containerd.image.name": name}}]}).encode()
with tarfile.open(file, "w") as tar:
    member(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    member(tar, "index.json", index)
    for blob in (config, manifest, layer):
        member(tar, "blobs/sha256/" + digest(blob)[7:], blob)
PY
}

# containerd_config SUITE: a configuration below $work/c on stdout. Without CAP_SYS_RESOURCE no
# oom_score_adj can be lowered, so containerd is told not to.
containerd_config() {
    local restrict=true major=2 cri=io.containerd.grpc.v1.cri
    (((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24) & 1)) && restrict=false
    if "$work/$1/usr/bin/containerd" --version | grep -q 'containerd/v2\| v\?2\.'; then
        major=3 cri=io.containerd.cri.v1.runtime
    fi
    cat <<END
version = $major
root = "$work/c/root"
state = "$work/c/state"
[grpc]
  address = "$work/c/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$work/c/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."$cri"]
  restrict_oom_score_adj = $restrict
  netns_mounts_under_state_dir = true
$([ $major = 3 ] || echo '  sandbox_image = "finding.test/pause:1"')
  [plugins."$cri".cni]
    $([ $major = 3 ] && echo 'bin_dirs = ["/usr/lib/cni"]' || echo 'bin_dir = "/usr/lib/cni"')
    conf_dir = "$work/c/net.d"
  [plugins."$cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."$cri".containerd.runtimes.runc.options]
      Root = "$work/c/state/runc"
$([ $major = 2 ] || printf '[plugins."io.containerd.cri.v1.images".pinned_images]\n  sandbox = "finding.test/pause:1"\n')
END
}

# The containerds of Debian 12, 13 and unstable, as SUITE=VERSION; each runs with Debian 12's runc.
containerds=(bookworm=1.6.20~ds1-1+deb12u3 trixie=1.7.24~ds1-6+deb13u1 sid=2.1.9+ds1-5)

# on_containerd SUITE=VERSION COMMAND...: runs COMMAND while a new containerd of that version runs.
on_containerd() {
    local suite=${1%%=*} version=${1#*=} path=$PATH
    shift
    deb bookworm runc=1.1.5+ds1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1
    deb "$suite" "containerd=$version"
    rm -rf --one-file-system "$work/c"
    containerd_up "$suite"
    "$@" || changed=1
    containerd_down
    PATH=$path
}

# containerd_up SUITE: starts the containerd unpacked by `deb SUITE` with $work/c/config.toml (made when
# missing), waits for its CRI, and imports the image finding.test/pause:1 where it is not there yet.
containerd_up() {
    local i
    PATH=$work/$1/usr/bin:$work/bookworm/usr/sbin:$PATH
    mkdir -p "$work/c/net.d"
    [ -e "$work/c/config.toml" ] || containerd_config "$1" >"$work/c/config.toml"
    containerd --config "$work/c/config.toml" >>"$work/c/log" 2>&1 &
    containerd_pid=$!
    pids+=($!)
    for ((i = 0; i < 300; i++)); do
        if ctr_ plugins ls 2>/dev/null | grep -Eq 'io\.containerd\.grpc\.v1 +cri .* ok'; then
            ctr_ images ls -q | grep -q finding.test/pause:1 || {
                image "$work/c/pause.tar" finding.test/pause:1
                ctr_ images import "$work/c/pause.tar" >/dev/null
            }
            return 0
        fi
        sleep 0.1
    done
    tail -n 20 "$work/c/log" >&2
    return 1
}

ctr_() { ctr -n k8s.io -a "$work/c/containerd.sock" "$@"; }

containerd_down() {
    local pid id
    for id in $(runc --root "$work/c/state/runc/k8s.io" list -q 2>/dev/null); do
        runc --root "$work/c/state/runc/k8s.io" delete --force "$id" 2>/dev/null || true
    done
    # The shims that this containerd started name its socket.
    for pid in $(grep -slF -e "$work/c/" /proc/[0-9]*/cmdline | cut -d/ -f3 || true); do
        case $(basename "$(readlink "/proc/$pid/exe" || true)") in
        containerd-shim-runc-v2 | containerd-shim-runc-v2*deleted*) kill -9 "$pid" 2>/dev/null || true ;;
        esac
    done
    grep -shoE '/run/containerd/s/[0-9a-f]{64}' \
        "$work"/c/state/io.containerd.runtime.v2.task/*/*/{address,bootstrap.json} | sort -u | xargs -r rm -f || true
    kill "$containerd_pid" 2>/dev/null || true
    wait "$containerd_pid" 2>/dev/null || true
    unmount_all
    rm -f "$work/c/containerd.sock"
}

# cri: runs the Python on stdin with cri.py's names, on the containerd that containerd_up started.
cri() {
    pip grpcio==1.85.3
    { cat "$(dirname "${BASH_SOURCE[0]}")/cri.py"; cat; } >"$work/cri_run.py"
    PYTHONPATH=$work/pip python3 "$work/cri_run.py" "$work/c/containerd.sock" "$@"
}

# pip PACKAGE==VERSION...: into $work/pip, for PYTHONPATH.
pip() {
    local want
    for want in "$@"; do
        [ ! -e "$work/pip/.$want" ] || continue
        python3 -m pip install -q --root-user-action=ignore --disable-pip-version-check \
            ${FINDINGS_CACHE:+--cache-dir "$FINDINGS_CACHE/pip"} --target "$work/pip" "$want" >&2 ||
            { echo "no longer offered: $want" >&2; exit 3; }
        touch "$work/pip/.$want"
        echo "using    $want (PyPI)" >&2
    done
}

# serve: an API server with discovery for pods and configmaps; the Python on stdin defines
# answer(request, path, query) -> (code, body, headers) for the rest. Its address's port is in $port, and what
# it was asked in $work/requests. A prefix of the path (/302, /429/again) comes before /api.
serve() {
    {
        cat <<'P'
import http.server, json, re, sys
def resource(name, kind):
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "create", "delete"]}
DISCOVERY = {"/api": {"kind": "APIVersions", "versions": ["v1"]}, "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1",
                "resources": [resource("pods", "Pod"), resource("configmaps", "ConfigMap")]}}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_):
        pass
    def handle_any(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        found = next((DISCOVERY[p] for p in DISCOVERY if re.fullmatch(r"(/[0-9]+(/[a-z]+)?)?" + p, path)), None)
        if found:
            code, body, headers = 200, found, {}
        else:
            with open(sys.argv[1], "a") as out:
                out.write(f"{self.command} {path}\n")
            code, body, headers = answer(self, path, query)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any
P
        cat
        cat <<'P'
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
P
    } >"$work/server.py"
    : >"$work/requests"
    python3 "$work/server.py" "$work/requests" >"$work/port" &
    pids+=($!)
    until [ -s "$work/port" ]; do sleep 0.1; done
    port=$(cat "$work/port")
}

# kubectl_ SUITE PREFIX ARG...: that suite's kubectl on the server, without any configuration.
kubectl_() {
    "$work/$1/usr/bin/kubectl" --kubeconfig=/dev/null --cache-dir="$work/cache-$1" -s "http://127.0.0.1:$port$2" "${@:3}" 2>&1 </dev/null
}

# registry: starts Debian 12's docker-registry, on loopback; its address is in $url.
registry() {
    local free
    deb bookworm docker-registry=2.8.2+ds1-1
    free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    url=http://127.0.0.1:$free/v2
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
        "$work/registry" "$free" >"$work/registry.yml"
    "$work/bookworm/usr/bin/docker-registry" serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    pids+=($!)
    until curl -s -o "$work/body" "$url/"; do sleep 0.1; done
}

# push_manifest TAG MANIFEST-TYPE CONFIG-TYPE LAYER-TYPE [without-blobs]: an image of one small layer to repository
# app. Sets $digest of the manifest, $layer of the layer, $code of the push; the answer is in $work/body.
push_manifest() {
    local tag=$1 manifest=$2 config_type=$3 layer_type=$4 file place
    echo '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/config.json"
    echo layer | gzip -n >"$work/layer"
    layer=sha256:$(sha256sum <"$work/layer" | cut -d' ' -f1)
    digest=sha256:$(sha256sum <"$work/config.json" | cut -d' ' -f1)
    [ -n "${5:-}" ] || for file in config.json layer; do
        place=$(curl -si -X POST "$url/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
        curl -sf -o "$work/body" -X PUT --data-binary "@$work/$file" -H 'Content-Type: application/octet-stream' \
            "$place&digest=sha256:$(sha256sum <"$work/$file" | cut -d' ' -f1)"
    done
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[{"mediaType":"%s","digest":"%s","size":%d}]}' \
        "$manifest" "$config_type" "$digest" "$(stat -c %s "$work/config.json")" "$layer_type" "$layer" "$(stat -c %s "$work/layer")" >"$work/manifest"
    digest=sha256:$(sha256sum <"$work/manifest" | cut -d' ' -f1)
    code=$(curl -s -o "$work/body" -w '%{http_code}' -X PUT -H "Content-Type: $manifest" --data-binary "@$work/manifest" "$url/app/manifests/$tag")
}
