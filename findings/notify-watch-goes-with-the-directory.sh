#!/bin/bash
# Guess: notify watches a path: once the directory was renamed away it tells of what is at the path then, or of an error,
# or of nothing.
# True: one event, Modify(Name(From)) with the directory's own path, says that it went. The watch goes with it: what is written in the
# directory at its new place is told with the old path, where another directory may be by now, and what is written in
# that one is not told. So events name files that are not there. `unwatch` and `watch` of the path mend it.
# Seen: notify 8.2.1 on Linux (inotify); 2026-11-30.
. "$(dirname "$0")/lib.sh"
rust_args=("$work")
rust 'notify = "=8.2.1"' >"$work/seen" <<'R'
use notify::{recommended_watcher, Event, RecursiveMode, Watcher};
use std::{fs, path::Path, sync::mpsc, thread::sleep, time::Duration};

fn main() {
    let base = std::env::args().nth(1).unwrap();
    for (mode, name) in [(RecursiveMode::NonRecursive, "plain"), (RecursiveMode::Recursive, "recursive")] {
        let (dir, away) = (format!("{base}/{name}"), format!("{base}/{name}-away"));
        fs::create_dir(&dir).unwrap();
        let (tell, told) = mpsc::channel();
        let mut watcher = recommended_watcher(tell).unwrap();
        watcher.watch(Path::new(&dir), mode).unwrap();
        let say = |what: &str| {
            sleep(Duration::from_millis(500));
            let events: Vec<notify::Result<Event>> = told.try_iter().collect();
            let words: Vec<String> = (events.iter().flatten())
                .filter(|event| event.kind.is_create() || event.kind.is_modify())
                .map(|event| format!("{:?} {}", event.kind, event.paths[0].strip_prefix(&base).unwrap().display()))
                .collect();
            println!("{name} {what}: {}", words.first().map_or("nothing", |word| word));
        };
        fs::rename(&dir, &away).unwrap();
        say("renamed");
        fs::create_dir(&dir).unwrap();
        fs::write(format!("{dir}/new"), "").unwrap();
        say("written in the new one");
        fs::write(format!("{away}/old"), "").unwrap();
        say("written in the old one");
        watcher.unwatch(Path::new(&dir)).unwrap();
        watcher.watch(Path::new(&dir), mode).unwrap();
        fs::write(format!("{dir}/newer"), "").unwrap();
        say("written after watching again");
    }
}
R
line() { sed -n "s/^$1: //p" "$work/seen"; }
for mode in plain recursive; do
    same "$mode, renamed away" "Modify(Name(From)) $mode" "$(line "$mode renamed")"
    same "$mode, file in the directory now at the path" "nothing" "$(line "$mode written in the new one")"
    same "$mode, file in the one that went" "Create(File) $mode/old" "$(line "$mode written in the old one")"
    same "$mode, after unwatch and watch" "Create(File) $mode/newer" "$(line "$mode written after watching again")"
done
