#!/bin/bash
# Guess: the tar crate takes PAX headers in and hands out members only.
# True: it does so with headers for one member (x). A global one (g), which stands first in every archive of `git
# archive`, comes out as an entry with its own name, `pax_global_header`, a size and text; and what it says of
# the members after it is not applied. GNU tar shows no such member. Ask entry_type() before anything else.
# Seen: tar 0.4.46 (crate), GNU tar 1.34, git 2.39.5; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm tar=1.34+dfsg-1.2+deb12u1
gnu=$work/bookworm/bin/tar
cd "$work"
echo x >member
# The global header gives every member the time 1 s after the epoch.
"$gnu" --format=posix --pax-option='globexthdr.name=pax_global_header,mtime=1' -cf global.tar member
same "GNU tar, members" "member" "$("$gnu" tf global.tar)"
rust_args=("$work/global.tar")
rust 'tar = { version = "=0.4.46", default-features = false }' >seen <<'R'
fn main() {
    let file = std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let entry = entry.unwrap();
        println!("{} {:?} {}", entry.path().unwrap().display(), entry.header().entry_type(), entry.size());
    }
}
R
like "tar crate, first entry" '^pax_global_header XGlobalHeader [1-9]' "$(sed -n 1p seen)"
same "tar crate, second entry" "member Regular 2" "$(sed -n 2p seen)"
