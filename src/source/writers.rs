//! Which process has a file open for writing: what a writer left out so far is not lost.
//!
//! `/proc` tells of every process that shares this kernel, containers included. Names come first, so
//! that nothing on a filesystem that does not answer is looked at.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files;

/// More a kernel does not say of one descriptor.
const FDINFO_BYTES: u64 = 64 << 10;

/// A process that has the file at a path open for writing.
pub(super) fn of(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let file = fs::metadata(&path).ok()?;
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let processes = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    let writes = |process: &PathBuf| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten();
        open.flatten().any(|open| {
            let target = fs::read_link(open.path());
            target.is_ok_and(|target| target.file_name() == path.file_name())
                && fs::metadata(open.path())
                    .is_ok_and(|m| (m.dev(), m.ino()) == (file.dev(), file.ino()))
                && is_for_writing(&process.join("fdinfo").join(open.file_name()))
        })
    };
    let process = processes.map(|entry| entry.path()).find(writes)?;
    let name = files::read_text(&process.join("comm"), FDINFO_BYTES).unwrap_or_default();
    let pid = process.file_name()?.to_string_lossy().into_owned();
    Some(format!("process {pid} ({})", name.trim_end()))
}

fn is_for_writing(info: &Path) -> bool {
    let text = files::read_text(info, FDINFO_BYTES).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    // `O_ACCMODE`: 1 writes, 2 reads and writes.
    flags.is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn only_who_writes_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.yaml");
        assert_eq!(of(&path), None);
        let writer = File::create(&path).expect("a file");
        let own = format!("process {} (", std::process::id());
        assert!(of(&path).is_some_and(|who| who.starts_with(&own)));
        drop(writer);
        let _reader = OpenOptions::new().read(true).open(&path).expect("it");
        assert_eq!(of(&path), None);
    }
}
