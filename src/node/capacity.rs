//! How much the machine has: processors, memory, huge pages, storage.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::Error;

/// What the machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) cpus: u64,
    pub(super) memory_bytes: u64,
    pub(super) swap_bytes: u64,
    pub(super) pids: u64,
    pub(super) storage_bytes: u64,
    pub(super) hugepages: BTreeMap<u64, u64>,
}

pub(super) fn read(state: &Path) -> Result<Capacity, Error> {
    let wanted = RefreshKind::nothing()
        .with_memory(MemoryRefreshKind::everything())
        .with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(wanted).map_err(|source| Error::System { source })?;
    let cpus = system.cpus().len() as u64;
    let memory_bytes = system.total_memory();
    if cpus == 0 {
        return Err(Error::Capacity { what: "processors" });
    }
    if memory_bytes == 0 {
        return Err(Error::Capacity { what: "memory" });
    }
    Ok(Capacity {
        cpus,
        memory_bytes,
        swap_bytes: system.total_swap(),
        pids: pids(Path::new("/proc/sys/kernel")),
        storage_bytes: storage(state),
        hugepages: hugepages(Path::new("/sys/kernel/mm/hugepages")),
    })
}

/// The size of the filesystem a path is, or will be, on; 0 where it cannot be told.
fn storage(path: &Path) -> u64 {
    path.ancestors()
        .find_map(|path| nix::sys::statvfs::statvfs(path).ok())
        .map_or(0, |stat| stat.blocks() * stat.fragment_size())
}

/// How many processes and threads there may be: the lower of the kernel's two limits; 0 where it
/// tells neither.
fn pids(kernel: &Path) -> u64 {
    let read = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(kernel.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let limits = ["pid_max", "threads-max"].into_iter().filter_map(read);
    limits.min().unwrap_or(0)
}

/// Huge pages by size; none where the kernel has none.
fn hugepages(directory: &Path) -> BTreeMap<u64, u64> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let kib = name
                .to_str()?
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?;
            let pages = fs::read_to_string(entry.path().join("nr_hugepages")).ok()?;
            Some((kib.parse::<u64>().ok()? * 1024, pages.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_read_by_size() {
        let sys = tempfile::tempdir().expect("a directory");
        assert_eq!(hugepages(&sys.path().join("none")), BTreeMap::new());
        for (name, pages) in [("hugepages-2048kB", "4\n"), ("hugepages-1048576kB", "0\n")] {
            let directory = sys.path().join(name);
            fs::create_dir(&directory).expect("a directory");
            put(&directory.join("nr_hugepages"), pages);
        }
        assert_eq!(
            hugepages(sys.path()),
            BTreeMap::from([(2 << 20, 4), (1 << 30, 0)])
        );
    }

    #[test]
    fn the_lower_limit_of_processes_counts() {
        let kernel = tempfile::tempdir().expect("a directory");
        assert_eq!(pids(kernel.path()), 0);
        put(&kernel.path().join("pid_max"), "4194304\n");
        assert_eq!(pids(kernel.path()), 4_194_304);
        put(&kernel.path().join("threads-max"), "32768\n");
        assert_eq!(pids(kernel.path()), 32_768);
    }

    fn put(path: &Path, text: &str) {
        use std::io::Write;
        let mut file = fs::File::create(path).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    }
}
