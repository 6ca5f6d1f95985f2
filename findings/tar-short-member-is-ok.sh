#!/bin/bash
# Guess: the tar crate's Entry::read_to_end fails where the archive ends inside the member.
# True: it gives what is there, with Ok, fewer bytes than Entry::size() said. The error comes from the next call of
# the iterator; who looks for one member and stops has a cut file and no error. GNU tar fails. An archive
# that ends after a whole member, without the two blocks of zeros, is no error to either; a file of no bytes is
# an archive without members to the crate, and none to GNU tar.
# Seen: tar 0.4.46 (crate), GNU tar 1.34; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm tar=1.34+dfsg-1.2+deb12u1
gnu=$work/bookworm/bin/tar
cd "$work"
seq 1000 >member
"$gnu" cf whole.tar member
head -c 2000 whole.tar >cut.tar
head -c $((512 + 4096)) whole.tar >noend.tar
: >nothing.tar
status() { "$gnu" tf "$1" >/dev/null 2>&1 && echo 0 || echo $?; }
same "GNU tar of the cut archive ends with" 2 "$(status cut.tar)"
same "GNU tar of the archive without its end" 0 "$(status noend.tar)"
same "GNU tar of no bytes ends with" 2 "$(status nothing.tar)"
rust_args=("$work/cut.tar" "$work/noend.tar" "$work/nothing.tar")
rust 'tar = { version = "=0.4.46", default-features = false }' >seen <<'R'
use std::{env, fs::File, io::Read};

fn main() {
    for path in env::args().skip(1) {
        let mut archive = tar::Archive::new(File::open(path).unwrap());
        let mut line = String::new();
        for entry in archive.entries().unwrap() {
            match entry {
                Ok(mut entry) => {
                    let read = entry.read_to_end(&mut Vec::new());
                    line += &format!("size {} read {read:?}; ", entry.size());
                }
                Err(error) => line += &format!("next: {error}"),
            }
        }
        println!("{line}end");
    }
}
R
same "tar crate, cut inside the member" "size 3893 read Ok(1488); next: unexpected EOF during skipend" "$(sed -n 1p seen)"
same "tar crate, without its end" "size 3893 read Ok(3893); end" "$(sed -n 2p seen)"
same "tar crate, no bytes" "end" "$(sed -n 3p seen)"
