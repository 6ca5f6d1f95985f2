#!/bin/sh
# Installs from Debian's packages what building and running the machines needs, where it is missing. As root.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need mmdebstrap mmdebstrap
need mke2fs e2fsprogs
need cpio cpio
need xz xz-utils
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "not root, and missing:$missing" >&2; exit 1; }
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends "$@"; }
apt-get update -q
# Of one version: a qemu-utils from backports does not go with a qemu-system-x86 that is not from there, and apt
# removes it for that one, or refuses.
case $missing in
*qemu*)
    version=$(apt-cache policy qemu-system-x86 | sed -n 's/^ *Candidate: //p')
    missing="$missing qemu-system-x86=$version qemu-utils=$version"
    ;;
esac
# shellcheck disable=SC2086
install --allow-downgrades $missing
