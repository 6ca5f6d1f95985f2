//! Takes the state directory away, for `setlet purge`: what the store and the pods made in it, and then
//! the directory itself.
//!
//! Nothing else is touched. What somebody else put there stays, and the directory with it; a link is not
//! followed, and a directory that is a mount point, or that a link leads to, is only emptied.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, Store};

/// What the store makes beside its directories.
const FILES: [&str; 2] = ["clock.json", "clock.corrupt"];

/// What is still in the state directory, with its path; empty where nothing is.
pub type Left = Vec<PathBuf>;

impl Store {
    /// Opens the state directory where it is there; [`open`](Self::open) would make it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_present(root: &Path) -> Result<Option<Self>, Error> {
        match root.is_dir() {
            true => Self::open(root).map(Some),
            false => Ok(None),
        }
    }

    /// Removes all records and, last, what keeps other agents out.
    ///
    /// # Errors
    ///
    /// The first thing that could not be removed.
    pub fn erase(self) -> Result<Left, Error> {
        for directory in [&self.records, &self.sets, &self.last_good] {
            erase_flat(directory)?;
        }
        remove_empty(&self.root.join("pods")).map_err(failed(&self.root.join("pods")))?;
        for name in FILES.into_iter().chain(["clock.new", "lock"]) {
            let path = self.root.join(name);
            unlink(&path).map_err(failed(&path))?;
        }
        remove_empty(&self.root).map_err(failed(&self.root))?;
        left(&self.root).map_err(|source| Error::List {
            path: self.root.clone(),
            source,
        })
    }
}

/// Removes a directory that has nothing in it; whether it is gone. One that something is in, that something
/// is mounted on, or that is reached by a link, is left.
///
/// # Errors
///
/// It cannot be removed for another reason.
pub fn remove_empty(directory: &Path) -> io::Result<bool> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound, ResourceBusy};
    match fs::remove_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == NotFound => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                DirectoryNotEmpty | NotADirectory | ResourceBusy
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Remove {
        path: path.clone(),
        source,
    }
}

/// Removes the files of a directory of the store's, in which nothing else is, and the directory.
fn erase_flat(directory: &Path) -> Result<(), Error> {
    // A link leads to somebody else's.
    match directory.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        _ => return Ok(()),
    }
    for path in left(directory).map_err(|source| Error::List {
        path: directory.to_owned(),
        source,
    })? {
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            _ => unlink(&path).map_err(failed(&path))?,
        }
    }
    remove_empty(directory).map(drop).map_err(failed(directory))
}

fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn left(directory: &Path) -> io::Result<Left> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Left::new()),
        entries => entries?,
    };
    let mut left = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Left>>()?;
    left.sort();
    Ok(left)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn filled(root: &Path) {
        let store = Store::open(root).expect("open");
        let (file, on) = (|path: &str| root.join(path), "x");
        for path in [
            "records/a.json",
            "sets/b.json",
            "last-good/c.json",
            "clock.json",
        ] {
            put(&file(path), on);
        }
        fs::create_dir(file("pods")).expect("a directory");
        drop(store);
    }

    #[expect(clippy::disallowed_methods, reason = "a test")]
    fn put(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
    }

    #[test]
    fn all_of_the_stores_goes_and_nothing_else() {
        let above = tempfile::tempdir().expect("a directory");
        let root = above.path().join("state");
        assert!(Store::open_present(&root).expect("nothing").is_none());
        assert!(!root.exists());
        filled(&root);
        let store = Store::open_present(&root)
            .expect("open")
            .expect("it is there");
        assert_eq!(store.erase().expect("erased"), Left::new());
        assert!(!root.exists());

        filled(&root);
        fs::create_dir(root.join("seccomp")).expect("a directory");
        put(&root.join("seccomp/mine.json"), "{}");
        let elsewhere = above.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("a directory");
        put(&elsewhere.join("theirs"), "x");
        fs::remove_dir_all(root.join("last-good")).expect("removed");
        symlink(&elsewhere, root.join("last-good")).expect("a link");
        symlink(elsewhere.join("theirs"), root.join("records/link.json")).expect("a link");
        let store = Store::open_present(&root)
            .expect("open")
            .expect("it is there");
        let expected = ["last-good", "seccomp"].map(|name| root.join(name));
        assert_eq!(store.erase().expect("erased"), expected);
        assert!(elsewhere.join("theirs").exists());
    }

    #[test]
    fn a_link_to_the_state_directory_stays_and_what_it_leads_to_is_emptied() {
        let above = tempfile::tempdir().expect("a directory");
        let (real, link) = (above.path().join("real"), above.path().join("state"));
        fs::create_dir(&real).expect("a directory");
        symlink(&real, &link).expect("a link");
        filled(&link);
        let store = Store::open_present(&link)
            .expect("open")
            .expect("it is there");
        assert_eq!(store.erase().expect("erased"), Left::new());
        assert!(link.symlink_metadata().is_ok());
        assert_eq!(fs::read_dir(&real).expect("a list").count(), 0);
    }
}
