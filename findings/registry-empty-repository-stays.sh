#!/bin/bash
# Guess: DELETE of a tag removes that tag; with the last one gone the tag list is [] and the repository leaves the catalog.
# True: a tag cannot be deleted (400 DIGEST_INVALID, about content that was never uploaded). DELETE of a digest takes away every tag that
# points to it. After the last, tags is null, not a list, and _catalog names the repository for ever. A blob that was
# deleted makes the next push of a manifest that needs it fail (400 MANIFEST_BLOB_UNKNOWN), also where that same manifest was
# there before.
# Seen: docker-registry (distribution) 2.8.2 with delete enabled; 2026-11-30.
. "$(dirname "$0")/lib.sh"
registry
oci=application/vnd.oci.image
types=("$oci.manifest.v1+json" "$oci.config.v1+json" "$oci.layer.v1.tar+gzip")
push_manifest one "${types[@]}"
push_manifest two "${types[@]}"
delete() { curl -s -o "$work/body" -w '%{http_code}' -X DELETE "$url/app/$1"; grep -oE '[A-Z]+_[A-Z_]+' "$work/body" | sed 's/^/ /' || true; }
same "DELETE of a tag" "400 DIGEST_INVALID" "$(delete manifests/one | tr -d '\n')"
same "DELETE of the digest that two tags have" 202 "$(delete "manifests/$digest")"
same "the tag list then" '{"name":"app","tags":null}' "$(curl -s "$url/app/tags/list")"
same "the catalog" '{"repositories":["app"]}' "$(curl -s "$url/_catalog")"
same "DELETE of the layer" 202 "$(delete "blobs/$layer")"
push_manifest one "${types[@]}" without-blobs
same "the same manifest pushed again" "400 MANIFEST_BLOB_UNKNOWN" "$code $(grep -oE 'MANIFEST_[A-Z_]+' "$work/body")"
