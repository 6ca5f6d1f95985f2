#!/bin/bash
# Guess: sysinfo's System::processes() after refresh_processes() holds the machine's processes, each with its command line.
# True: every thread (task) of every process is in it as well, with an id of its own, the process as its parent and
# thread_kind() set; so counts are too high, and looking for children finds threads. cmd() is empty and cwd()
# is None, though exe() is filled: refresh_processes loads memory, cpu, disk usage, exe and tasks only.
# Seen: sysinfo 0.40.1 on Linux; 2026-11-30.
. "$(dirname "$0")/lib.sh"
rust 'sysinfo = { version = "=0.40.1", default-features = false, features = ["system"] }' >"$work/seen" <<'R'
use std::{thread, time::Duration};
use sysinfo::{Pid, ProcessesToUpdate, System};

fn main() {
    for _ in 0..3 {
        thread::spawn(|| thread::sleep(Duration::from_secs(30)));
    }
    thread::sleep(Duration::from_millis(200));
    let mut system = System::new().unwrap();
    system.refresh_processes(ProcessesToUpdate::All, true);
    let me = Pid::from_u32(std::process::id());
    let children = system.processes().values().filter(|process| process.parent() == Some(me));
    let (threads, others): (Vec<_>, Vec<_>) = children.partition(|process| process.thread_kind().is_some());
    let own = system.process(me).unwrap();
    println!("{} {} {} {:?} {}", threads.len(), others.len(), own.cmd().len(), own.cwd(), own.exe().is_some());
}
R
read -r threads others arguments directory program <"$work/seen"
same "threads of a process with three, by parent()" 3 "$threads"
same "other children" 0 "$others"
same "arguments in cmd()" 0 "$arguments"
same "cwd()" None "$directory"
same "exe() is known" true "$program"
