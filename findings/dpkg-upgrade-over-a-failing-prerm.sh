#!/bin/bash
# Guess: a prerm that fails stops the upgrade, so that a package whose installed prerm is broken cannot be upgraded.
# True: dpkg then runs the new package's prerm with `failed-upgrade OLD NEW` (here a script that knows only `upgrade`, and
# ends with 0), and goes on with exit status 0: the old version's last words are lost, its service not stopped, and nobody
# who looks at the status knows. Without a prerm in the new package the upgrade does stop.
# Removing a package that is not installed is a warning and 0 too, with -r and with -P.
# Seen: dpkg 1.21.23; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm dpkg=1.21.23 busybox-static=1:1.35.0-4+deb12u1+b1
dpkg=$work/bookworm/usr/bin/dpkg
mkdir -p "$work/root/var/lib/dpkg/"{info,updates} "$work/root/bin"
touch "$work/root/var/lib/dpkg/"{status,available}
cp "$work/bookworm/bin/busybox" "$work/root/bin/sh"
package() { # VERSION [PRERM]
    local tree=$work/tree-$1
    mkdir -p "$tree/DEBIAN"
    printf 'Package: it\nVersion: %s\nArchitecture: all\nMaintainer: Some One <one@example.com>\nDescription: a test\n' "$1" >"$tree/DEBIAN/control"
    [ -z "${2:-}" ] || { printf '#!/bin/sh\n%s\n' "$2" >"$tree/DEBIAN/prerm" && chmod 755 "$tree/DEBIAN/prerm"; }
    "$work/bookworm/usr/bin/dpkg-deb" --root-owner-group -b "$tree" "$work/it-$1.deb" >/dev/null
}
run() { # ARG...: the exit status
    local status=0
    "$dpkg" --root="$work/root" --log=/dev/null --force-script-chrootless "$@" >"$work/said" 2>&1 || status=$?
    echo $status
}
package 1 'echo "one: $*"; exit 1'
package 2
package 3 'echo "three: $*"'
same "install version 1" 0 "$(run -i "$work/it-1.deb")"
same "upgrade to 2, which has no prerm" 1 "$(run -i "$work/it-2.deb")"
same "upgrade to 3, which has one" 0 "$(run -i "$work/it-3.deb")"
same "what version 1's prerm was asked" "one: upgrade 3" "$(grep '^one' "$work/said")"
same "what version 3's prerm was asked" "three: failed-upgrade 1 3" "$(grep '^three' "$work/said")"
same "the version that is installed" "3 install ok installed" "$(dpkg-query --admindir="$work/root/var/lib/dpkg" -W -f '${Version} ${Status}' it)"
same "remove a package that was never there" 0 "$(run -r nothere)"
same "purge it" 0 "$(run -P nothere)"
