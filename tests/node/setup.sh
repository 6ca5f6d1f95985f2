#!/bin/sh
# Installs from Debian's packages what the build, the demo and the tests need, where it is missing.
# For Debian 12 and 13, as root, with a Rust toolchain and nothing else.
#
#   setup.sh demo     what building and `make demo` need
#   setup.sh test     that, and what the tests need
#
# No service is started: the tests and the demo start programs of their own.
set -eu
PATH=$PATH:/usr/sbin:/sbin

case ${1:-test} in
demo | test) ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

missing=
need() { # a file or a command, and the package that has it
    if ! command -v "$1" >/dev/null && ! [ -e "$1" ]; then missing="$missing $2"; fi
}
need cc gcc
need /usr/include/stdlib.h libc6-dev
need protoc protobuf-compiler
need containerd containerd
need runc runc
need /usr/lib/cni/bridge containernetworking-plugins
need ip iproute2
need iptables iptables
# busybox without -static would not run in an image of its own.
dpkg-query -W -f '${Status}' busybox-static 2>/dev/null | grep -q ' installed' ||
    missing="$missing busybox-static"
if [ "${1:-test}" = test ]; then
    need skopeo skopeo
    need faketime faketime
    need docker-registry docker-registry
    need git git
    need openssl openssl
    need systemd-analyze systemd
    need rpmbuild rpm
    need python3 python3
    need /etc/ssl/certs/ca-certificates.crt ca-certificates
fi

if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "not root, and missing:$missing" >&2; exit 1; }
    echo "installing:$missing"
    # Debian starts the services of a package that it installs, unless this program says no.
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing
fi

command -v cargo >/dev/null || { echo "no cargo: install Rust, see https://rustup.rs" >&2; exit 1; }
if [ "${1:-test}" = test ]; then
    for component in rustfmt clippy; do
        cargo "${component#rust}" --version >/dev/null 2>&1 ||
            rustup component add "$component"
    done
fi
