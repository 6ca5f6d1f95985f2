//! Writes a volume's files so that a reader sees the old ones or the new ones, never a mixture.
//!
//! Follows Kubernetes' `AtomicWriter`: the files lie in a directory of their own, `..data` is a
//! link to it that is exchanged by one rename, and each name in the volume is a link through
//! `..data`. After a crash at any point the next write puts everything right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use super::{ownership, tree};
use crate::blocking::Progress;
use crate::files::{self, Links};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
/// So many bytes are written at a time.
const PIECE: usize = 256 << 10;

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// Makes a volume hold exactly these files, given to a group where there is one.
pub(super) fn write(
    volume: &Path,
    files: &BTreeMap<String, File>,
    group: Option<u32>,
    progress: &Progress,
) -> io::Result<()> {
    if let Some(path) = files.keys().find(|path| !is_inside(path)) {
        return Err(io::Error::other(format!(
            "the path {path} leads out of the volume"
        )));
    }
    let current = fs::read_link(volume.join(DATA)).ok();
    let unchanged = current
        .as_ref()
        .is_some_and(|name| holds(&volume.join(name), files, group.is_some()));
    if !unchanged {
        let name = next_name(volume, current.as_deref(), progress)?;
        let directory = volume.join(&name);
        fill(&directory, files, progress)?;
        if let Some(group) = group {
            ownership::give(&directory, group, ownership::Access::Read, progress)?;
        }
        let link = volume.join(NEW_DATA);
        tree::remove(&link, progress)?;
        symlink(&name, &link)?;
        fs::rename(&link, volume.join(DATA))?;
    }
    link_names(volume, files, progress)?;
    remove_stale(volume, files, progress)
}

/// A name for the new directory that is not in use; times are not needed to tell two apart.
fn next_name(volume: &Path, current: Option<&Path>, progress: &Progress) -> io::Result<PathBuf> {
    let number = current
        .and_then(|name| name.to_str()?.strip_prefix("..")?.parse::<u64>().ok())
        .unwrap_or(0);
    for n in number.saturating_add(1)..u64::MAX {
        progress.step()?;
        let name = PathBuf::from(format!("..{n:010}"));
        if tree::remove(&volume.join(&name), progress).is_ok() {
            return Ok(name);
        }
    }
    Err(io::Error::other("no name is left for the volume's files"))
}

fn fill(directory: &Path, files: &BTreeMap<String, File>, progress: &Progress) -> io::Result<()> {
    make(directory)?;
    for (path, file) in files {
        progress.step()?;
        let mut above: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        above.pop();
        for parent in above.iter().rev() {
            make(&directory.join(parent))?;
        }
        let path = directory.join(path);
        let mut opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        for piece in file.content.chunks(PIECE) {
            progress.step()?;
            opened.write_all(piece)?;
        }
        opened.set_permissions(Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// Makes a directory that any user of a container may read, whatever the umask.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// Whether a directory holds exactly these files, with their modes as far as fsGroup leaves them.
fn holds(directory: &Path, files: &BTreeMap<String, File>, is_given: bool) -> bool {
    let mut found = BTreeSet::new();
    if list(directory, Path::new(""), &mut found).is_err() || found.len() != files.len() {
        return false;
    }
    files.iter().all(|(path, file)| {
        let at = directory.join(path);
        let mode = at.metadata().map_or(0, |m| m.permissions().mode() & 0o777);
        found.contains(Path::new(path))
            && mode == (file.mode | if is_given { 0o440 } else { 0 }) & 0o777
            && contains(&at, &file.content)
    })
}

/// Whether a file holds exactly this; whoever mounts the volume may have put anything there.
fn contains(path: &Path, content: &[u8]) -> bool {
    files::open(path, Links::Refuse)
        .and_then(|mut file| files::read_all(&mut file, content.len() as u64))
        .is_ok_and(|have| have == content)
}

/// Every file below a directory, by its path in it.
fn list(directory: &Path, inside: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Makes the links by which the files are found: one for each first name.
fn link_names(
    volume: &Path,
    files: &BTreeMap<String, File>,
    progress: &Progress,
) -> io::Result<()> {
    for name in first_names(files) {
        let link = volume.join(&name);
        let target = Path::new(DATA).join(&name);
        if fs::read_link(&link).is_ok_and(|have| have == target) {
            continue;
        }
        tree::remove(&link, progress)?;
        symlink(target, link)?;
    }
    Ok(())
}

/// Removes what is neither a name of the files nor their directory.
fn remove_stale(
    volume: &Path,
    files: &BTreeMap<String, File>,
    progress: &Progress,
) -> io::Result<()> {
    let names = first_names(files);
    let current = fs::read_link(volume.join(DATA))?;
    for entry in fs::read_dir(volume)? {
        let name = PathBuf::from(entry?.file_name());
        if name != Path::new(DATA) && name != current && !names.contains(&name) {
            tree::remove(&volume.join(name), progress)?;
        }
    }
    Ok(())
}

fn first_names(files: &BTreeMap<String, File>) -> BTreeSet<PathBuf> {
    files
        .keys()
        .filter_map(|path| Path::new(path).components().next())
        .map(|name| PathBuf::from(name.as_os_str()))
        .collect()
}

/// Whether a path stays in the volume and does not take the writer's own names.
fn is_inside(path: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.is_empty() && !path.starts_with("..") && Path::new(path).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File {
            content: text.as_bytes().to_vec(),
            mode: 0o640,
        };
        list.iter()
            .map(|(path, text)| ((*path).to_owned(), file(text)))
            .collect()
    }

    fn put(volume: &Path, files: &BTreeMap<String, File>) -> io::Result<()> {
        write(volume, files, None, &Progress::default())
    }

    #[test]
    fn content_is_exchanged_as_a_whole() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        put(root, &files(&[("a", "1"), ("sub/dir/b", "2")])).expect("written");
        let first = fs::read_link(root.join(DATA)).expect("a link");
        assert_eq!(fs::read_to_string(root.join("sub/dir/b")).expect("b"), "2");
        put(root, &files(&[("a", "1"), ("sub/dir/b", "2")])).expect("written");
        assert_eq!(fs::read_link(root.join(DATA)).expect("a link"), first);

        put(root, &files(&[("a", "3"), ("c", "4")])).expect("written");
        assert_ne!(fs::read_link(root.join(DATA)).expect("a link"), first);
        assert_eq!(fs::read_to_string(root.join("a")).expect("a"), "3");
        let mut names: Vec<_> = fs::read_dir(root)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(!root.join("sub").exists());
    }

    #[test]
    fn a_write_after_a_crash_puts_things_right() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        put(root, &files(&[("a", "1")])).expect("written");
        fs::create_dir(root.join("..0000000002")).expect("half a write");
        symlink("..0000000002", root.join(NEW_DATA)).expect("a link");
        put(root, &files(&[("a", "2")])).expect("written");
        assert_eq!(fs::read_to_string(root.join("a")).expect("a"), "2");
        assert!(!root.join(NEW_DATA).exists());
    }

    #[test]
    fn paths_out_of_the_volume_are_refused() {
        let root = tempfile::tempdir().expect("a directory");
        for path in ["../x", "a/../../x", "/x", "..data"] {
            assert!(put(root.path(), &files(&[(path, "")])).is_err());
        }
    }
}
