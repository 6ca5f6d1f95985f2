#!/bin/bash
# Builds a machine for the tests from Debian's packages: systemd, containerd with the systemd cgroup
# driver, CNI plugins, and a socket that runs commands. It has nothing of setlet.
#
#   tests/vm/image.sh SUITE DIR     bookworm or trixie; fills DIR with disk, vmlinuz and initrd
#
# As root. A DIR that is there already is kept: the caller names it by what the machine is made of.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
suite=${1:?usage: image.sh SUITE DIR}
dir=${2:?usage: image.sh SUITE DIR}
[ ! -e "$dir/disk" ] || exit 0
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/setlet-vm-XXXXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"
tree=$work/tree

# The mirror that apt uses for Debian itself. Its signatures are checked, its age is not.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    grep -v -e security -e backports | head -n 1)
packages=systemd,systemd-sysv,dbus,udev,kmod,containerd,runc,containernetworking-plugins,iproute2
packages+=,iptables,busybox-static,linux-image-cloud-amd64,procps,rpm,ca-certificates
mmdebstrap --quiet --variant=minbase --include="$packages" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/man/* \
    "$suite" "$tree" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian/} $suite main"

# What the machine is besides its packages.
echo setlet-vm >"$tree/etc/hostname"
echo '127.0.0.1 localhost setlet-vm' >"$tree/etc/hosts"
echo 5e71e75e71e75e71e75e71e75e71e75e >"$tree/etc/machine-id"
: >"$tree/etc/fstab"
printf '%s\n' overlay virtio_net br_netfilter bridge veth >"$tree/etc/modules-load.d/setlet-vm.conf"
echo 'net.ipv4.ip_forward = 1' >"$tree/etc/sysctl.d/setlet-vm.conf"
install -D -m 644 "$here/guest/containerd.toml" "$tree/etc/containerd/config.toml"
install -D -m 644 "$here/guest/cni.conflist" "$tree/etc/cni/net.d/10-pods.conflist"
install -D -m 755 "$here/guest/setlet-vm" "$tree/usr/local/lib/setlet-vm"
for unit in setlet-vm.socket setlet-vm@.service network.service marker.service; do
    install -D -m 644 "$here/guest/$unit" "$tree/etc/systemd/system/$unit"
done
systemctl --quiet --root="$tree" enable setlet-vm.socket network.service marker.service containerd.service 2>/dev/null ||
    chroot "$tree" systemctl --quiet enable setlet-vm.socket network.service marker.service containerd.service
chroot "$tree" systemctl --quiet mask systemd-udev-settle.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer fstrim.timer motd-news.timer 2>/dev/null || true

# The images of pods: pause and busybox, as archives that the first boot imports.
pause='{"Entrypoint": ["/bin/sh", "-c", "trap \"exit 0\" TERM INT; while :; do sleep 2147483 & wait $!; done"]}'
mkdir -p "$tree/var/lib/setlet-vm"
"$here/../node/busybox-image.sh" "$tree/var/lib/setlet-vm/pause.tar" setlet.test/pause:1 "$pause"
"$here/../node/busybox-image.sh" "$tree/var/lib/setlet-vm/busybox.tar" docker.io/library/busybox:latest

# The kernel, and an initrd that knows one disk.
version=$(basename "$tree"/lib/modules/*)
mkdir -p "$work/initrd/bin" "$work/initrd/modules" "$work/initrd/proc" "$work/initrd/sys" "$work/initrd/dev" "$work/initrd/root"
cp "$tree/bin/busybox" "$work/initrd/bin/busybox"
: >"$work/initrd/modules/order"
for module in virtio_pci virtio_blk ext4; do
    chroot "$tree" modprobe --set-version "$version" --show-depends "$module" |
        sed -n "s,^insmod \([^ ]*\).*,$tree\1,p"
done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    case $name in
    *.xz) xz -dc "$file" >"$work/initrd/modules/${name%.xz}" ;;
    *) cp "$file" "$work/initrd/modules/$name" ;;
    esac
    echo "${name%.xz}" >>"$work/initrd/modules/order"
done
cat >"$work/initrd/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/order
until /bin/busybox mount -t ext4 /dev/vda /root 2>/dev/null; do /bin/busybox sleep 0.1; done
for at in proc sys dev; do /bin/busybox umount -l /$at; done
exec /bin/busybox switch_root /root /sbin/init
END
chmod 755 "$work/initrd/init"

# Nothing is to be brought up to date at the first boot.
chroot "$tree" ldconfig
touch "$tree/etc/.updated" "$tree/var/.updated"

mkdir -p "$work/made"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/made/initrd"
cp "$tree"/boot/vmlinuz-* "$work/made/vmlinuz"
rm -rf "$tree"/boot/*
mke2fs -q -t ext4 -m 0 -d "$tree" "$work/made/disk" 8G
# By rename: an interrupted run leaves no half a machine.
mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv "$work/made" "$dir"
