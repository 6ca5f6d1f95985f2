//! Mounts of the pod's volumes: tmpfs and hugetlbfs, and reading what is mounted where.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// Mounts a tmpfs of a size in bytes, unless something is mounted there; 0 for the kernel's
/// default. With a group it is that group's from the first moment.
pub(super) fn tmpfs(path: &Path, bytes: u64, group: Option<u32>) -> io::Result<()> {
    let mut size = Vec::new();
    if bytes > 0 {
        size.push(format!("size={bytes}"));
    }
    size.extend(group.map(|group| format!("gid={group},mode=3777")));
    // Secrets must not reach a swap device; kernels before 6.4 do not know the option.
    let mut careful = size.clone();
    careful.push("noswap".to_owned());
    match mount_once("tmpfs", path, &careful.join(",")) {
        Err(e) if e.raw_os_error() == Some(Errno::EINVAL as i32) => {
            mount_once("tmpfs", path, &size.join(","))
        }
        other => other,
    }
}

/// Mounts a hugetlbfs of a page size in bytes, unless something is mounted there.
pub(super) fn hugetlbfs(path: &Path, page_size: u64, group: Option<u32>) -> io::Result<()> {
    let group = group.map_or_else(String::new, |group| format!(",gid={group},mode=2775"));
    mount_once("hugetlbfs", path, &format!("pagesize={page_size}{group}"))
}

fn mount_once(kind: &str, path: &Path, options: &str) -> io::Result<()> {
    if is_mount_point(path)? {
        return Ok(());
    }
    let flags = MsFlags::empty();
    mount(Some(kind), path, Some(kind), flags, Some(options))?;
    Ok(())
}

/// Whether another file system is mounted at a path.
pub(super) fn is_mount_point(path: &Path) -> io::Result<bool> {
    let Some(parent) = path.parent() else {
        return Ok(true);
    };
    Ok(path.metadata()?.dev() != parent.metadata()?.dev())
}

/// Everything mounted at or below a path without links, deepest first.
pub(super) fn below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let mut points: Vec<PathBuf> = table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(4))
        .map(unescape)
        .filter(|point| point.starts_with(path))
        .collect();
    // Of mounts over each other the last is on top and goes first.
    points.reverse();
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(points)
}

/// A path of mountinfo, where `\040` stands for a space.
fn unescape(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let octal = text.get(at + 1..at + 4).filter(|_| text[at] == b'\\');
        let code = octal.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code {
            Some(byte) => {
                path.push(byte);
                at += 4;
            }
            None => {
                path.push(text[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_mountinfo_are_read() {
        assert_eq!(unescape(b"/a\\040b/c"), PathBuf::from("/a b/c"));
        assert_eq!(unescape(b"/a\\x"), PathBuf::from("/a\\x"));
    }
}
