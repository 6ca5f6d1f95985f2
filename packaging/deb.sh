#!/bin/bash
# target/package/setlet_VERSION_ARCH.deb, from packaging/files and with dpkg-deb alone:
#
#   packaging/deb.sh x86_64|aarch64
#
# With one SOURCE_DATE_EPOCH the same bytes, wherever and whenever.
. "$(dirname "$0")/lib.sh"
arch=$(deb_arch "${1:?for which architecture: x86_64 or aarch64?}")
program=${PROGRAM:-$(program_of "$1")}
[ -x "$program" ] || { echo "$program is not there: make program ARCH=$1" >&2; exit 1; }
version=$(package_version)-1
tree=$out/deb-$arch
rm -rf "$tree"
packaging/stage.sh install deb "$program" "$tree"
mkdir -p "$tree/DEBIAN"
packaging/stage.sh list deb | awk '$1 != "" && $2 == "conf" { print $3 }' >"$tree/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do
    install -m 755 "packaging/deb/$script" "$tree/DEBIAN/$script"
done
cat >"$tree/DEBIAN/control" <<CONTROL
Package: setlet
Version: $version
Architecture: $arch
Maintainer: The setlet authors <packages@setlet.dev>
Installed-Size: $(du -k -s --apparent-size --exclude DEBIAN "$tree" | cut -f1)
Depends: libc6 (>= 2.28), init-system-helpers (>= 1.54), containerd | containerd.io | cri-containerd
Recommends: containernetworking-plugins, systemd
Section: admin
Priority: optional
Homepage: $(sed -nE 's/^repository = "(.*)"$/\1/p' Cargo.toml)
Description: runs DaemonSets from a directory through containerd, without a kubelet
 A per-node agent: it reads Kubernetes DaemonSets from a directory, decides from
 this node's labels and taints whether each one runs here, and keeps exactly one
 pod of each running through containerd's CRI. It goes on without an API server
 and without network.
CONTROL
(cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -type d -exec chmod 755 {} +
# dpkg-deb takes times that are later for SOURCE_DATE_EPOCH; earlier ones there are none of.
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/setlet_${version}_$arch.deb"
