#!/bin/sh
# Installs what making and checking packages needs, where it is missing. For Debian 12 and 13, as root.
#
#   setup.sh          rpmbuild, lintian, rpmlint, objdump
#   setup.sh zig      and, in target/package/tools, the linker for glibc 2.28
set -eu
cd "$(dirname "$0")/.."
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need dpkg-deb dpkg
need rpmbuild rpm
need lintian lintian
need rpmlint rpmlint
need objdump binutils
need python3 python3
[ "${1:-}" != zig ] || need pip3 python3-pip
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "not root, and missing:$missing" >&2; exit 1; }
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing
fi
tools=target/package/tools
if [ "${1:-}" = zig ] && [ ! -e "$tools/.done" ]; then
    python3 -m pip install -q --root-user-action=ignore --disable-pip-version-check --target "$tools" \
        cargo-zigbuild==0.24.1 ziglang==0.17.1
    touch "$tools/.done"
fi
