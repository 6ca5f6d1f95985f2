#!/bin/bash
# Runs the maintainer scripts of the deb and the scriptlets of the rpm with the real dpkg and rpm, in trees that
# hold nothing but busybox and stand-ins for systemd's programs, which write down what they are asked.
#
#   scripts.sh DIRECTORY     for everything that is made
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
work=$1
cd "$(dirname "$0")/../.."
export SOURCE_DATE_EPOCH=1700000000
# In the program's place: the scripts ask it for the configuration, and to purge.
export PROGRAM=$work/program
cat >"$PROGRAM" <<'S'
#!/bin/sh
echo "$(basename "$0") $*" >>/state/log
case $1 in
config) printf 'paths:\n  run: /run/setlet\n  state: /var/lib/setlet\n' ;;
purge) [ -e "$4" ] && [ ! -e /state/purge-fails ] && rm -rf /var/lib/setlet ;;
esac
S
chmod 755 "$PROGRAM"
: "${SETLET_PACKAGE_OUT:?where packages are made}"

failed=0
same() { # WHAT EXPECTED SEEN
    if [ "$2" = "$3" ]; then echo "ok: $1"; else
        echo "FAILED: $1: expected '$2', seen '$3'" && failed=1
    fi
}

# tree NAME: busybox, the stand-ins, and a directory that says that systemd runs.
tree() {
    root=$work/$1
    mkdir -p "$root"/{bin,dev,usr/bin,usr/sbin,sbin,tmp,etc,state,run/systemd/system,var/lib/dpkg/info,var/lib/dpkg/updates,var/lib/rpm}
    # A file does for /dev/null where no device may be made.
    touch "$root/var/lib/dpkg/status" "$root/state/log" "$root/dev/null"
    cp /bin/busybox "$root/bin/busybox"
    for name in sh ls rm rmdir mkdir ln cp touch echo printf cat test grep sed getent; do ln -s busybox "$root/bin/$name"; done
    cat >"$root/usr/bin/systemctl" <<'S'
#!/bin/sh
echo "systemctl $*" >>/state/log
case "$*" in
*is-active*) [ -e /state/active ] ;;
*is-enabled*) [ -e /state/enabled ] ;;
*preset*) [ -e /state/preset-disable ] || touch /state/enabled ;;
*"disable --now"*) rm -f /state/enabled /state/active ;;
*try-restart*) [ ! -e /state/active ] || echo "restarted" >>/state/log ;;
*" start "* | start*) touch /state/active && echo "started" >>/state/log ;;
esac
S
    cat >"$root/usr/bin/deb-systemd-invoke" <<'S'
#!/bin/sh
echo "deb-systemd-invoke $*" >>/state/log
case $1 in
start) touch /state/active && echo "started" >>/state/log ;;
restart) touch /state/active && echo "restarted" >>/state/log ;;
stop) rm -f /state/active && echo "stopped" >>/state/log ;;
esac
S
    cat >"$root/usr/bin/deb-systemd-helper" <<'S'
#!/bin/sh
echo "deb-systemd-helper $*" >>/state/log
case "$*" in
*was-enabled*) [ ! -e /state/disabled-by-admin ] ;;
enable*) touch /state/enabled ;;
esac
S
    printf '#!/bin/sh\necho "$(basename $0) $*" >>/state/log\n' >"$root/usr/bin/systemd-sysusers"
    cp "$root/usr/bin/systemd-sysusers" "$root/usr/bin/systemd-tmpfiles"
    ln -s busybox "$root/bin/basename"
    chmod 755 "$root"/usr/bin/*
}
# did WORD: how often since the last `forget`.
did() { grep -cx "$1" "$root/state/log" || true; }
forget() { : >"$root/state/log"; }

deb() { dpkg --root="$root" --log=/dev/null --force-depends --force-not-root "$@" >"$work/said" 2>&1 || { cat "$work/said" && failed=1; }; }
rpm_() { rpm --root "$root" --nodeps --nosignature "$@" >"$work/said" 2>&1 || { cat "$work/said" && failed=1; }; }

# packages VERSION: the deb in $deb, the rpm in $rpm.
packages() {
    SETLET_VERSION=$1 packaging/deb.sh x86_64 >"$work/built"
    SETLET_VERSION=$1 packaging/rpm.sh x86_64 >>"$work/built" 2>&1
    deb=$SETLET_PACKAGE_OUT/setlet_${1/-/\~}-1_amd64.deb
    rpm=$SETLET_PACKAGE_OUT/setlet-${1/-/\~}-1.x86_64.rpm
}
packages 1.0.0-rc.1 && deb1=$deb rpm1=$rpm
packages 1.0.0 && deb2=$deb rpm2=$rpm
first=$(sha256sum "$deb2" "$rpm2")
packages 1.0.0
same "built again, the same bytes" "$first" "$(sha256sum "$deb2" "$rpm2")"
dpkg --compare-versions 1.0.0~rc.1-1 lt 1.0.0-1 && same "dpkg: a release candidate is older" "" ""

# The deb.
tree deb
deb -i "$deb1"
same "deb, first installation: started" 1 "$(did started)"
same "deb: the group and the directories" 2 "$(grep -cE '^systemd-(sysusers|tmpfiles)' "$root/state/log")"
same "deb: config.yaml is there" 1 "$(grep -c '^kind: SetletConfiguration' "$root/etc/setlet/config.yaml")"
forget
deb -i "$deb2"
same "deb, upgrade while it runs: restarted, not stopped" "1 0 0" "$(did restarted) $(did stopped) $(did started)"
forget && rm "$root/state/active"
deb -i "$deb2"
same "deb, upgrade of what an administrator stopped" "0 0" "$(did started) $(did restarted)"
touch "$root/state/active"
echo '# mine' >>"$root/etc/setlet/config.yaml"
mkdir -p "$root/var/lib/setlet/pods/a"
forget
deb -r setlet
same "deb, removal: stopped" 1 "$(did stopped)"
same "deb, removal: says that pods run on" 1 "$(grep -c 'its pods run on' "$work/said")"
same "deb, removal: the administrator's file is kept" 1 "$(grep -c '^# mine' "$root/etc/setlet/config.yaml")"
forget
deb -i "$deb2"
same "deb, installed over a half-removed version: started" 1 "$(did started)"
deb -r setlet && forget && touch "$root/state/disabled-by-admin" && rm -f "$root/state/enabled"
deb -i "$deb2"
same "deb, installed again where it was disabled: not started" "0 0" "$(did started) $(did restarted)"

# Purges: by the program and the configuration that the removal kept.
keep=$root/var/lib/setlet-removed
purge='setlet purge --yes --config /var/lib/setlet-removed/config.yaml'
deb -P setlet
same "deb, purge where the agent never ran: nothing is asked of it" "0" "$(did "$purge")"
same "deb, purge: its files are gone" "" "$(cd "$root" && find etc usr run -path "*setlet*" 2>/dev/null)"
deb -i "$deb2"
touch "$root/var/lib/setlet/lock"
deb -r setlet
same "deb, removal: what a purge needs is kept" "config.yaml setlet 700" "$(ls "$keep" | xargs) $(stat -c %a "$keep")"
deb -i "$deb2"
same "deb, installed again: it is not kept any more" "" "$(ls "$keep" 2>/dev/null)"
deb -r setlet && forget
deb -P setlet
same "deb, purge: by setlet purge" 1 "$(did "$purge")"
same "deb, purge: nothing is left" "" "$(cd "$root" && find etc usr run var/lib/setlet* -path "*setlet*" 2>/dev/null)"
deb -i "$deb2" && mkdir -p "$root/var/lib/setlet" && touch "$root/var/lib/setlet/lock" "$root/state/purge-fails"
deb -P setlet
same "deb, purge without a runtime: says how to go on, and the package is gone" \
    "1 0" "$(grep -c 'not everything was removed. To finish, run' "$work/said") $(grep -c '^Package: setlet' "$root/var/lib/dpkg/status")"
same "deb, purge without a runtime: what that needs is there" "config.yaml setlet" "$(ls "$keep" | xargs)"

# Without systemd.
tree plain
rm -r "$root"/usr/bin/* "$root/run/systemd"
deb -i "$deb2"
same "deb, without systemd: says so and succeeds" 1 "$(grep -c 'systemd does not run this machine' "$work/said")"
same "deb, without systemd: the state directory" 700 "$(stat -c %a "$root/var/lib/setlet")"

# A hand-made /etc/setlet from before: nobody is there to ask.
tree handmade
mkdir -p "$root/etc/setlet/config.d"
echo 'nodeName: by-hand' >"$root/etc/setlet/config.yaml"
deb --force-confold -i "$deb2"
same "deb, a hand-made configuration is kept" 'nodeName: by-hand' "$(cat "$root/etc/setlet/config.yaml")"

# The rpm.
tree rpm
rpm_ -i "$rpm1"
same "rpm, first installation: enabled by preset and started" "1 1" "$(did started) $(grep -c preset "$root/state/log")"
forget
rpm_ -U "$rpm2"
same "rpm, upgrade from a release candidate while it runs: restarted" "1 0" "$(did restarted) $(did started)"
forget && rm "$root/state/active"
rpm_ -U --replacepkgs "$rpm2"
same "rpm, installed again where it was stopped" "0 0" "$(did started) $(did restarted)"
touch "$root/state/active"
echo '# mine' >>"$root/etc/setlet/config.yaml"
mkdir -p "$root/var/lib/setlet/pods/a"
forget
rpm_ -e setlet
same "rpm, removal: disabled and stopped" 1 "$(grep -c 'disable --now setlet.service' "$root/state/log")"
same "rpm, removal: says that pods run on" 1 "$(grep -c 'its pods run on' "$work/said")"
same "rpm, removal: the administrator's file is kept" 1 "$(grep -c '^# mine' "$root/etc/setlet/config.yaml.rpmsave")"
tree rpm-preset
touch "$root/state/preset-disable"
rpm_ -i "$rpm2"
same "rpm, where a preset disables it: not started" 0 "$(did started)"
exit "$failed"
