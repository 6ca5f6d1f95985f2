#!/bin/bash
# Guess: notify tells of changes; who reads and lists a watched directory causes no events.
# True: each open is one, Access(Open), of files and of the directory, by the watching process itself too: who scans on any event
# scans for ever. Nor does it tell of all changes: files that are in a tree when it is moved in, and
# mostly those in one made by mkdir -p, are never told of, only the tree's top (but notify's own walk through it
# is, as opens). Scan on every Create and Name(To) of a directory, and on nothing of kind Access but Close(Write).
# Seen: notify 8.2.1 on Linux (inotify), recursive; 2026-11-30.
. "$(dirname "$0")/lib.sh"
mkdir -p "$work/d" "$work/tree/a/b"
touch "$work/d/file" "$work/tree/a/b/inside"
rust_args=("$work")
rust 'notify = "=8.2.1"' >"$work/seen" <<'R'
use notify::{recommended_watcher, Event, RecursiveMode, Watcher};
use std::{fs, path::Path, sync::mpsc, thread::sleep, time::Duration};

fn main() {
    let base = std::env::args().nth(1).unwrap();
    let dir = format!("{base}/d");
    let (tell, told) = mpsc::channel();
    let mut watcher = recommended_watcher(tell).unwrap();
    watcher.watch(Path::new(&dir), RecursiveMode::Recursive).unwrap();
    let say = |what: &str| {
        sleep(Duration::from_millis(500));
        let events: Vec<notify::Result<Event>> = told.try_iter().collect();
        let words: Vec<String> = (events.iter().flatten())
            .map(|event| format!("{:?} {}", event.kind, event.paths[0].strip_prefix(&base).unwrap().display()))
            .collect();
        println!("{what}: {}", words.join(", "));
    };
    fs::read(format!("{dir}/file")).unwrap();
    say("read");
    fs::read_dir(&dir).unwrap().count();
    say("list");
    fs::rename(format!("{base}/tree"), format!("{dir}/tree")).unwrap();
    say("tree");
}
R
line() { sed -n "s/^$1: //p" "$work/seen"; }
same "reading a file" "Access(Open(Any)) d/file" "$(line read)"
same "listing the directory" "Access(Open(Any)) d" "$(line list)"
same "a tree moved in, all but opens" "Modify(Name(To)) d/tree" "$(line tree | tr ',' '\n' | grep -v Open | sed 's/^ //')"
same "the file in it is named" "no" "$(line tree | grep -q inside && echo yes || echo no)"
