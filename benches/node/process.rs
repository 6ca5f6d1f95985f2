//! What the kernel says of a process: its memory and the processor time it used.

use std::time::Duration;

/// A line of `/proc/PID/status` in MiB: `VmRSS`, or `VmHWM` for the most it ever was.
pub fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let text = status
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(':'))
        .expect("a line of the status");
    let kib = text.trim().trim_end_matches(" kB").parse::<f64>();
    kib.expect("a number of kB") / 1024.0
}

/// Processor time of the threads that live, to the nanosecond. Those that ended are not in it: to be
/// asked twice while threads come and go only in between.
pub fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the threads");
    let nanoseconds = tasks.map(|task| {
        let path = task.expect("a thread").path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let first = text.split(' ').next().and_then(|n| n.parse().ok());
        first.unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}
