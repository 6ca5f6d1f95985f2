#!/bin/sh
# Builds a docker image archive from Debian's static busybox: there is no registry to pull from.
#
#   busybox-image.sh OUT.tar NAME [CONFIG-JSON [BALLAST-MIB]]
#
# CONFIG-JSON is the image's `config` object (Entrypoint, Cmd, User, Env, Labels, …). Images that
# differ only in it share their layer. BALLAST-MIB adds a layer of that many random MiB, for pulls
# that take a while. The same arguments without ballast give the same bytes.
set -eu

out=$1
name=$2
default='{"Cmd": ["sh"], "Env": ["PATH=/bin"]}'
config=${3:-$default}
ballast=${4:-0}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022
mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/home/nobody" "$root/var/www"
mkdir -m 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
cat >"$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
nobody:x:65534:65534:nobody:/home/nobody:/bin/false
END
cat >"$root/etc/group" <<END
root:x:0:
daemon:x:1:
nogroup:x:65534:
END

pack() { tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2" .; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

pack "$root" "$work/layer.tar"
layers='"layer.tar"'
diffs="\"sha256:$(digest "$work/layer.tar")\""
files=layer.tar
if [ "$ballast" -gt 0 ]; then
    mkdir "$work/ballast"
    head -c "${ballast}M" /dev/urandom >"$work/ballast/ballast"
    pack "$work/ballast" "$work/ballast.tar"
    layers="$layers, \"ballast.tar\""
    diffs="$diffs, \"sha256:$(digest "$work/ballast.tar")\""
    files="$files ballast.tar"
fi
cat >"$work/config.json" <<END
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "created": "2026-01-01T00:00:00Z",
 "config": $config, "rootfs": {"type": "layers", "diff_ids": [$diffs]}}
END
cat >"$work/manifest.json" <<END
[{"Config": "config.json", "RepoTags": ["$name"], "Layers": [$layers]}]
END
# shellcheck disable=SC2086
tar -C "$work" --mtime=@0 --owner=0 --group=0 -cf "$work/out" manifest.json config.json $files
mv "$work/out" "$out"
