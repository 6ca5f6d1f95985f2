#!/bin/bash
# Guess: ruzstd's StreamingDecoder reads a .zst file to its end, as zstd and its Rust binding do: frame after frame,
# over skippable ones.
# True: it reads one frame. Of a file of two frames it gives the first and then the end of file, with no error; a
# skippable frame in front, as pzstd writes before each of its frames, is an error of `new`. The caller
# has to loop on what is left of the input.
# Seen: ruzstd 0.9.1, zstd of Debian 1.5.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm zstd=1.5.4+dfsg2-5
zstd=$work/bookworm/usr/bin/zstd
seq 20000 >"$work/text"
head -n 5000 "$work/text" | "$zstd" -q >"$work/two.zst"
tail -n +5001 "$work/text" | "$zstd" -q >>"$work/two.zst"
{ printf '\x50\x2a\x4d\x18\x04\x00\x00\x00abcd' && "$zstd" -qc "$work/text"; } >"$work/skip.zst"
whole=$(wc -c <"$work/text") first=$(head -n 5000 "$work/text" | wc -c)
same "zstd -d of two frames, bytes" "$whole" "$("$zstd" -dqc "$work/two.zst" | wc -c)"
same "zstd -d of a skippable frame and one, bytes" "$whole" "$("$zstd" -dqc "$work/skip.zst" | wc -c)"
rust_args=("$work/two.zst" "$work/skip.zst")
rust 'ruzstd = "=0.9.1"' >"$work/seen" <<'R'
use std::{env, fs::File, io::Read};

fn main() {
    for path in env::args().skip(1) {
        let mut text = Vec::new();
        match ruzstd::decoding::StreamingDecoder::new(File::open(path).unwrap()) {
            Ok(mut decoder) => match decoder.read_to_end(&mut text) {
                Ok(bytes) => println!("{bytes}"),
                Err(error) => println!("read: {error}"),
            },
            Err(error) => println!("new: {error}"),
        }
    }
}
R
same "ruzstd of two frames, bytes" "$first" "$(sed -n 1p "$work/seen")"
like "ruzstd of a skippable frame and one" '^new: Skip' "$(sed -n 2p "$work/seen")"
