#!/bin/bash
# Guess: a postinst that is given an old version is at an upgrade, and one without it at a first installation, so that the
# former may restart what runs and the latter start it.
# True: installing over a package that was removed but not purged gives postinst the old version too, the same words as an upgrade.
# Only preinst is told which it is (`install OLD`, not `upgrade OLD`). A package that trusts postinst starts nothing there.
# Seen: dpkg 1.21.23; 2026-12-01.
. "$(dirname "$0")/lib.sh"
deb bookworm dpkg=1.21.23 busybox-static=1:1.35.0-4+deb12u1+b1
dpkg=$work/bookworm/usr/bin/dpkg
mkdir -p "$work/root/var/lib/dpkg/"{info,updates} "$work/root/bin"
touch "$work/root/var/lib/dpkg/"{status,available}
cp "$work/bookworm/bin/busybox" "$work/root/bin/sh"
package() { # VERSION
    local tree=$work/tree-$1 script
    mkdir -p "$tree/DEBIAN" "$tree/etc"
    printf 'Package: it\nVersion: %s\nArchitecture: all\nMaintainer: Some One <one@example.com>\nDescription: a test\n' "$1" >"$tree/DEBIAN/control"
    for script in preinst postinst; do
        printf '#!/bin/sh\necho "%s: $*"\n' "$script" >"$tree/DEBIAN/$script" && chmod 755 "$tree/DEBIAN/$script"
    done
    # Without a configuration file a removal forgets the version.
    echo "a: file" >"$tree/etc/it" && echo /etc/it >"$tree/DEBIAN/conffiles"
    "$work/bookworm/usr/bin/dpkg-deb" --root-owner-group -b "$tree" "$work/it-$1.deb" >/dev/null
}
run() { # ARG...
    "$dpkg" --root="$work/root" --log=/dev/null --force-script-chrootless "$@" >"$work/said" 2>&1 || cat "$work/said"
}
told() { sed -n "s/^$1: //p" "$work/said"; }
package 1
package 2
run -i "$work/it-1.deb"
same "first installation, preinst" "install" "$(told preinst)"
same "first installation, postinst" "configure " "$(told postinst)"
run -i "$work/it-2.deb"
same "upgrade, preinst" "upgrade 1 2" "$(told preinst)"
same "upgrade, postinst" "configure 1" "$(told postinst)"
run -r it
run -i "$work/it-2.deb"
same "after a removal, preinst" "install 2 2" "$(told preinst)"
same "after a removal, postinst" "configure 2" "$(told postinst)"
