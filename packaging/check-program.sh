#!/bin/bash
# Checks a program for packages: the newest glibc that it asks for, the machine, hardening of the linker.
#
#   packaging/check-program.sh ARCH GLIBC [FILE]
. "$(dirname "$0")/lib.sh"
arch=${1:?usage: check-program.sh ARCH GLIBC [FILE]}
most=${2:?which glibc at most?}
program=${3:-$(program_of "$arch")}
newest=$(objdump -T "$program" | grep -oE 'GLIBC_[0-9.]+' | cut -d_ -f2 | sort -uV | tail -n 1)
echo "$program: $(stat -c %s "$program") bytes, newest symbol GLIBC_$newest"
fail() { echo "$program: $*" >&2; exit 1; }
[ "$(printf '%s\n' "$most" "$newest" | sort -V | tail -n 1)" = "$most" ] ||
    fail "wants GLIBC_$newest, must do with $most: $(objdump -T "$program" | grep -F "GLIBC_$newest" | head -n 3)"
headers=$(readelf -hldn "$program")
grep -q "Machine:.*$(case $arch in x86_64) echo X86-64 ;; aarch64) echo AArch64 ;; esac)" <<<"$headers" || fail "is for another machine"
grep -q 'Type: *DYN' <<<"$headers" || fail "is not position independent"
grep -q GNU_RELRO <<<"$headers" || fail "has no RELRO"
grep -qE 'BIND_NOW|NOW' <<<"$headers" || fail "binds lazily"
grep -q 'Build ID' <<<"$headers" || fail "has no build id"
for path in "${CARGO_HOME:-$HOME/.cargo}/" "$PWD/"; do
    ! grep -qaF "$path" "$program" || fail "has the path $path of this machine in it"
done
