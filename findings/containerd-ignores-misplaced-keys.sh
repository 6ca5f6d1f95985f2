#!/bin/bash
# Guess: containerd refuses a configuration with an unknown key, or one of a version it does not know, or at least all say so.
# True: 1.6 and 1.7 say nothing of a mistyped key and start with the default; 2.1 writes a warning and does the same. A file with `version = 3`
# is taken by 1.6 without a word (its plugins' new names mean nothing there), and refused by 1.7. In 2.1 a file of version 3 that still
# has the old section `io.containerd.grpc.v1.cri` loses its settings to the defaults; as version 2 it is converted. Look at
# `containerd config dump`, not at whether it starts.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-12-01.
. "$(dirname "$0")/lib.sh"
old='[plugins."io.containerd.grpc.v1.cri"]'
new='[plugins."io.containerd.cri.v1.images".pinned_images]'
printf 'version = 2\n%s\n  sandbox_imag = "mine/pause:1"\n' "$old" >"$work/mistyped.toml"
printf 'version = 3\n%s\n  sandbox = "mine/pause:1"\n' "$new" >"$work/new.toml"
printf 'version = 3\n%s\n  sandbox_image = "mine/pause:1"\n' "$old" >"$work/mixed.toml"
printf 'version = 2\n%s\n  sandbox_image = "mine/pause:1"\n' "$old" >"$work/old.toml"
dump() { # FILE: status, whose sandbox image, warnings or errors
    local status=0 image word=silent
    "$work/$suite/usr/bin/containerd" --config "$work/$1.toml" config dump >"$work/dump" 2>"$work/said" || status=$?
    image=$(sed -nE "s/^ *sandbox(_image)? = ['\"](.*)['\"]$/\2/p" "$work/dump")
    case $image in mine/*) image=mine ;; ?*) image=default ;; esac
    ! grep -q level= "$work/said" || word=tells
    echo "$status ${image:-none} $word"
}
told=('0 default silent' '0 default silent' '0 mine silent' '0 mine silent'
    '0 default silent' '1 none tells' '1 none tells' '0 mine silent'
    '0 default tells' '0 mine silent' '0 default tells' '0 mine silent')
i=0
for it in "${containerds[@]}"; do
    suite=${it%%=*}
    deb "$suite" "containerd=${it#*=}"
    for file in mistyped new mixed old; do
        same "$suite, $file: exit status, sandbox image, word of it" "${told[i]}" "$(dump $file)"
        i=$((i + 1))
    done
done
