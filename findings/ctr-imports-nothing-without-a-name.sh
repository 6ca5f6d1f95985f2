#!/bin/bash
# Guess: `ctr images import` of an archive whose image has no name makes one up, as it does for a bare tag, or fails.
# True: it prints nothing, makes no image and ends with 0; what it read is collected as garbage. `skopeo copy … oci-archive:FILE` and
# `docker-archive:FILE` without a name write such archives. A bare tag (oci-archive:FILE:1) becomes import-DATE:1; only
# --digests gives nameless images of OCI archives a name (import-DATE@sha256:…).
# Seen: containerd 1.6.20, 1.7.24, 2.1.9, skopeo 1.9.3; 2026-12-01.
. "$(dirname "$0")/lib.sh"
deb bookworm skopeo=1.9.3+ds1-1+b10 busybox-static=1:1.35.0-4+deb12u1+b1
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"
image "$work/in.tar" finding.test/app:1
copy() { "$work/bookworm/usr/bin/skopeo" --policy "$work/policy.json" --tmpdir "$work" copy -q "oci-archive:$work/in.tar" "$1"; }
copy "oci-archive:$work/oci.tar"
copy "docker-archive:$work/docker.tar"
copy "oci-archive:$work/tag.tar:1"
import() { # ARG...: exit status and the images beside the pause image
    local status=0
    ctr_ images import "$@" >"$work/said" 2>&1 || status=$?
    echo $status $(ctr_ images ls -q | grep -vE 'pause|^sha256' | sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}/DATE/; s/@sha256:.*/@DIGEST/')
}
try() {
    same "$1, OCI archive without a name" 0 "$(import "$work/oci.tar")"
    same "$1, docker archive without a name" 0 "$(import "$work/docker.tar")"
    same "$1, words said" "" "$(grep -v elapsed "$work/said" || true)"
    same "$1, OCI archive with --digests" "0 import-DATE@DIGEST" "$(import --digests "$work/oci.tar")"
    same "$1, OCI archive with a bare tag" "0 import-DATE:1 import-DATE@DIGEST" "$(import "$work/tag.tar")"
}
for it in "${containerds[@]}"; do on_containerd "$it" try "${it%%=*}"; done
