#!/bin/bash
# Guess: a registry gives a manifest as it was pushed to who sends `Accept: */*` or no Accept at all.
# True: the distribution registry gives OCI manifests and lists only to who names their media types: with `*/*`, with
# application/json or without Accept it answers 404 MANIFEST_UNKNOWN, by tag and by digest, to GET and HEAD. A docker
# manifest asked for by tag so is converted to the old schema 1 where that can be (or 400 MANIFEST_INVALID), and given as it
# is by digest. A check with curl that finds no image has proved nothing.
# Seen: docker-registry (distribution) 2.8.2; 2026-11-30.
. "$(dirname "$0")/lib.sh"
registry
oci=application/vnd.oci.image docker=application/vnd.docker
push_manifest oci "$oci.manifest.v1+json" "$oci.config.v1+json" "$oci.layer.v1.tar+gzip"
oci_digest=$digest
push_manifest docker "$docker.distribution.manifest.v2+json" "$docker.container.image.v1+json" "$docker.image.rootfs.diff.tar.gzip"
ask() { # REFERENCE ACCEPT [CURL-OPTION]: status and error code
    curl -s -o "$work/body" -w '%{http_code}' -H "Accept:${2:+ $2}" ${3:+"$3"} "$url/app/manifests/$1"
    [ -n "${3:-}" ] || grep -oE '"code":"[A-Z_]+"' "$work/body" | sed 's/.*:/ /; s/"//g' || true
}
for accept in '*/*' application/json ''; do
    same "OCI by tag, Accept: $accept" "404 MANIFEST_UNKNOWN" "$(ask oci "$accept" | tr -d '\n')"
    same "OCI by digest, Accept: $accept" "404 MANIFEST_UNKNOWN" "$(ask "$oci_digest" "$accept" | tr -d '\n')"
done
same "OCI, HEAD, Accept: */*" 404 "$(ask oci '*/*' --head)"
same "OCI by tag, its own type" 200 "$(ask oci "$oci.manifest.v1+json")"
same "docker by tag, Accept: */*" "400 MANIFEST_INVALID" "$(ask docker '*/*' | tr -d '\n')"
same "docker by digest, Accept: */*" 200 "$(ask "$digest" '*/*')"
