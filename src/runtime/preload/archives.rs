//! The archives that are in the images directory.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::read::digest_text;
use crate::blocking::Progress;

/// A file of the directory, and what tells it from one of the same name before or after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    pub name: String,
    pub path: PathBuf,
    /// Of name, size, inode and time.
    pub print: String,
    /// When it came here, in seconds.
    pub since: i64,
}

/// The files of the directory by name, but for those that are left alone.
pub(super) fn archives(directory: &Path, progress: &Progress) -> io::Result<Vec<Archive>> {
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        progress.step()?;
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A link's target counts; one that leads nowhere is none.
        let Ok(file) = std::fs::metadata(entry.path()) else {
            continue;
        };
        if is_ignored(&name) || !file.is_file() {
            continue;
        }
        archives.push(Archive {
            print: print(&name, &file),
            path: entry.path(),
            since: file.ctime(),
            name,
        });
    }
    archives.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(archives)
}

/// Whether a name is left alone: it begins with a dot, or ends as a file that is still being written.
pub(super) fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || [".tmp", ".part", "~"].iter().any(|end| name.ends_with(end))
}

/// What an image's label says of the file: short whatever the file's name is.
fn print(name: &str, file: &std::fs::Metadata) -> String {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new_with_prefix(name);
    for number in [file.size(), file.ino(), file.dev()] {
        digest.update(number.to_be_bytes());
    }
    for number in [
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ] {
        digest.update(number.to_be_bytes());
    }
    let text = digest_text(digest);
    text.trim_start_matches("sha256:")[..32].to_owned()
}
