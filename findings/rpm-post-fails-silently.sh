#!/bin/bash
# Guess: rpm ends with an error when a package's scriptlet fails, and a failing one stops what it belongs to.
# True: that depends on the letter before. %pre and %preun stop it and rpm ends with 1. A failing %post or %postun is a warning, the
# package counts as installed (or gone) and rpm ends with 0: automation that looks at the status sees nothing. A failing %preun
# of the old package on an upgrade leaves both versions installed.
# Seen: rpm 4.18.0; 2026-11-30.
. "$(dirname "$0")/lib.sh"
version=4.18.0+dfsg-1+deb12u1
deb bookworm rpm=$version rpm-common=$version librpm9=$version librpmio9=$version librpmbuild9=$version librpmsign9=$version \
    libpopt0=1.19+dfsg-1 liblua5.3-0=5.3.6-2 libfsverity0=1.5-1.1 libelf1=0.188-2.1 libdw1=0.188-2.1 \
    busybox-static=1:1.35.0-4+deb12u1+b1
export LD_LIBRARY_PATH=$work/bookworm/usr/lib/x86_64-linux-gnu RPM_CONFIGDIR=$work/bookworm/usr/lib/rpm HOME=$work
PATH=$work/bookworm/usr/bin:$PATH
mkdir -p "$work/root/bin"
cp "$work/bookworm/bin/busybox" "$work/root/bin/sh"
package() { # NAME VERSION [SCRIPTLET]: the scriptlet of that name fails
    printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: a test\nLicense: MIT\nBuildArch: noarch\n%%description\nA test.\n' "$1" "$2" >"$work/spec"
    [ -z "${3:-}" ] || printf '%%%s\nexit 7\n' "$3" >>"$work/spec"
    printf '%%files\n' >>"$work/spec"
    rpmbuild -bb --quiet --define "_topdir $work/build" --define "_tmppath $work" "$work/spec" >"$work/said" 2>&1 || cat "$work/said"
}
run() { # ARG...: the exit status
    local status=0
    rpm --root "$work/root" --nosignature "$@" >"$work/said" 2>&1 || status=$?
    echo $status
}
file() { echo "$work/build/RPMS/noarch/$1-$2-1.noarch.rpm"; }
installed() { rpm --root "$work/root" -q "$1" --qf '%{VERSION} ' 2>/dev/null | grep -v 'not installed' || echo none; }
for scriptlet in pre post preun postun; do
    package "f$scriptlet" 1 "$scriptlet"
    package "f$scriptlet" 2
done
same "failing %pre, install" "1, installed: none" "$(run -i --nodeps "$(file fpre 1)"), installed: $(installed fpre)"
same "failing %post, install" "0, installed: 1 " "$(run -i --nodeps "$(file fpost 1)"), installed: $(installed fpost)"
like "what it says" 'warning: .*post.* scriptlet failed, exit status 7' "$(grep warning "$work/said")"
same "install what has a failing %preun" 0 "$(run -i --nodeps "$(file fpreun 1)")"
same "upgrade over it" "1, installed: 1 2 " "$(run -U --nodeps "$(file fpreun 2)"), installed: $(installed fpreun)"
same "install what has a failing %postun" 0 "$(run -i --nodeps "$(file fpostun 1)")"
same "upgrade over it" "0, installed: 2 " "$(run -U --nodeps "$(file fpostun 2)"), installed: $(installed fpostun)"
