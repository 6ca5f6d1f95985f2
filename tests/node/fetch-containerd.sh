#!/bin/sh
# Unpacks another Debian suite's containerd beside the system, without installing it.
#
#   tests/node/fetch-containerd.sh SUITE [DIR]      e.g. trixie (1.7) or sid (2.x)
#
# DIR (default target/containerd/SUITE) then holds the package's tree, usr/bin/containerd and its
# shim and ctr among it: what SETLET_TEST_CONTAINERD wants. apt itself does the fetching, with lists
# and a cache of its own, so the machine's mirror and proxy are used, signatures and hashes are
# checked, and the machine's package state is not touched. A DIR that is already filled is kept.
set -eu

suite=${1:?usage: fetch-containerd.sh SUITE [DIR]}
here=$(cd "$(dirname "$0")/../.." && pwd)
dir=${2:-$here/target/containerd/$suite}
if [ -x "$dir/usr/bin/containerd" ]; then
    echo "containerd of $suite: $("$dir/usr/bin/containerd" --version)"
    exit 0
fi

# The mirror that apt uses for Debian itself.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    grep -v -e security -e backports | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian/}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt fetches as the user _apt, which must be able to enter.
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/deb" "$work/tree"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
# A mirror that is behind is as good: the release file's age is not checked, its signature is.
apt() {
    apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$work/lists" -o Dir::State::Status=/dev/null \
        -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root \
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}
apt update
(cd "$work/deb" && apt download containerd)
dpkg-deb -x "$work"/deb/containerd_*.deb "$work/tree"
"$work/tree/usr/bin/containerd" --version

# By rename, so that an interrupted run leaves no half a tree under the final name.
mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv "$work/tree" "$dir"
chmod 755 "$dir"
