#!/bin/bash
# The program as packages hold it: target/ARCH-unknown-linux-gnu/release/setlet, for glibc 2.28 and later.
#
#   packaging/program.sh x86_64|aarch64
#
# Linked by zig, which has the symbol versions of every glibc. No path of this machine is in it. It fails when the
# program wants a newer glibc, or when nothing says which build it is.
. "$(dirname "$0")/lib.sh"
arch=${1:?for which architecture: x86_64 or aarch64?}
deb_arch "$arch" >/dev/null
glibc=2.28
target=$arch-unknown-linux-gnu
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
    { echo "no Rust standard library for $target: rustup target add $target" >&2; exit 1; }
tools=$out/tools
export PYTHONPATH=$tools PATH=$tools/bin:$PATH
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/setlet -C link-arg=-Wl,--build-id=sha1"
${CARGO:-cargo} zigbuild --release --locked --target "$target.$glibc" --bin setlet
packaging/check-program.sh "$arch" "$glibc"
