#!/bin/bash
# Guess: CRI's ImageStatus takes a name or a whole image id, so that a name nobody pulled is answered with no image.
# True: any unique beginning of an id is an id, from one hex digit on. A short name of hex digits, `f7`, finds
# whatever image's id begins so; it is looked up before docker.io/library/f7 is thought of. Even the empty
# name finds the image of a store that has one. A pod with such a name runs an image nobody named.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
ask() {
    cri <<'P'
found = lambda name: (attempt("ImageStatus", [(1, [(1, name)])]) or {}).get(1) is not None
whole = text(dec(call("ListImages")[1][0]), 1)
print("the only image's id is", whole)
digits = whole.removeprefix("sha256:")
told("its first digit is found", True, found(digits[0]))
told("its first two digits are found", True, found(digits[:2]))
told("the same with sha256: before is found", True, found(whole[:9]))
told("other digits are found", False, found("%x" % (15 - int(digits[0], 16)) + digits[1:3]))
told("the empty name is found", True, found(""))
P
}
for it in "${containerds[@]}"; do on_containerd "$it" ask; done
