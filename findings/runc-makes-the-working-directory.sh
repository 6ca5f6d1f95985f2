#!/bin/bash
# Guess: a working directory that the image has not is an error of runc, at start and at exec alike; a command that is not there ends
# with 127, as in a shell; and a command without a slash is found in the usual places when PATH is not set.
# True: `run` makes the directory (with its parents, in the container's writable layer), `exec` fails for it. A command that is
# missing is exit status 1 from `run` and 255 from `exec`, which the command itself could have ended with as well: only
# the message tells. Without PATH in the process' environment even `sh` is not found.
# Seen: runc 1.1.5; 2026-12-01.
. "$(dirname "$0")/lib.sh"
deb bookworm runc=1.1.5+ds1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1
runc() { "$work/bookworm/usr/sbin/runc" --root "$work/runc" "$@"; }
mkdir -p "$work/bundle/rootfs/"{bin,proc,dev,sys}
cp "$work/bookworm/bin/busybox" "$work/bundle/rootfs/bin/"
for name in sh sleep pwd; do ln -s busybox "$work/bundle/rootfs/bin/$name"; done
cd "$work/bundle"
runc spec
cp config.json spec.json
# process DIRECTORY ENV COMMAND...: what the next container runs
process() {
    python3 - "$@" <<'P'
import json, sys
spec = json.load(open("spec.json"))
spec["process"].update(terminal=False, cwd=sys.argv[1], env=[sys.argv[2]], args=sys.argv[3:])
spec["root"]["readonly"] = False
json.dump(spec, open("config.json", "w"))
P
}
status() { # ARG...: of runc
    local status=0
    runc "$@" >"$work/said" 2>&1 </dev/null || status=$?
    echo $status
}
process /no/such/place PATH=/bin /bin/pwd
same "run in a directory that is not there" 0 "$(status run one)"
same "what pwd says" /no/such/place "$(cat "$work/said")"
same "the directory afterwards" yes "$([ -d rootfs/no/such/place ] && echo yes)"
process / PATH=/bin /bin/nothing
same "run of a command that is not there" 1 "$(status run two)"
process / ANY=1 sh -c true
same "run of sh without PATH" 1 "$(status run three)"
like "what it says" 'executable file not found in \$PATH' "$(cat "$work/said")"
process / PATH=/bin /bin/sleep 60
runc run -d four >/dev/null 2>&1 </dev/null
same "exec of a command that is not there" 255 "$(status exec four /bin/nothing)"
same "exec of one that ends with 255" 255 "$(status exec four /bin/sh -c 'exit 255')"
same "exec in a directory that is not there" 255 "$(status exec --cwd /nor/this four /bin/pwd)"
like "what it says" 'chdir to cwd .* no such file' "$(cat "$work/said")"
runc delete --force four
