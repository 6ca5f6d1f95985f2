//! Real trees, deeper than paths, stacks and descriptors reach.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::mkdirat;

use super::*;
use crate::blocking::Progress;

/// Makes directories below each other, with a file in each hundredth.
fn nest(path: &Path, depth: usize) {
    fs::create_dir(path).expect("a directory");
    let mut at = openat(CWD, path, flags(), Mode::empty()).expect("opened");
    for level in 0..depth {
        if level % 100 == 0 {
            let new = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&at, c"file", new, Mode::RUSR).expect("a file");
        }
        mkdirat(&at, c"directory", Mode::RWXU).expect("a directory");
        at = openat(&at, c"directory", flags(), Mode::empty()).expect("opened");
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a list").count()
}

#[test]
fn a_tree_deeper_than_stack_and_paths_is_walked_with_few_descriptors_and_removed() {
    // In memory: a disk's journal takes minutes for so many.
    let root = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let path = root.path().join("deep");
    nest(&path, 100_000);
    let mut walk = Walk::open(&path).expect("opened");
    let (mut entered, mut left, mut files) = (0, 0, 0);
    let mut open = 0;
    while let Some(found) = walk.next().expect("it goes on") {
        match found {
            Found::Entered => entered += 1,
            Found::Left => left += 1,
            Found::Other => files += 1,
            other => panic!("{other:?}"),
        }
        if entered == 1500 && open == 0 {
            open = walk.frames.iter().filter(|f| f.dir.is_some()).count();
            assert!(descriptors() < 800, "of all tests together");
        }
    }
    assert_eq!((entered, left, files), (100_001, 100_000, 1000));
    assert!(open <= OPEN + 1, "{open}");
    remove(&path, &Progress::default()).expect("removed");
    assert!(!path.exists());
    remove(&path, &Progress::default()).expect("nothing there is fine");
}

#[test]
fn lists_that_were_closed_go_on_where_they_were() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("wide");
    nest(&path, OPEN * 2);
    // Many beside each level of the deep one, before and after it.
    let mut at = path.clone();
    for level in 0..OPEN * 2 {
        for n in 0..(if level == 1 { 3000 } else { 7 }) {
            fs::create_dir(at.join(format!("{n}"))).expect("a directory");
        }
        at.push("directory");
    }
    let mut walk = Walk::open(&path).expect("opened");
    let mut entered = 0;
    while let Some(found) = walk.next().expect("it goes on") {
        assert!(
            !matches!(found, Found::Lost | Found::Unread(_)),
            "{found:?}"
        );
        entered += usize::from(matches!(found, Found::Entered));
    }
    let others = 3000 + 7 * (OPEN * 2 - 1);
    assert_eq!(entered, 1 + OPEN * 2 + others);
    remove(&path, &Progress::default()).expect("removed");
    assert!(!path.exists());
}

#[test]
fn links_are_removed_and_not_followed() {
    let root = tempfile::tempdir().expect("a directory");
    let precious = root.path().join("precious");
    nest(&precious, 1);
    let path = root.path().join("tree");
    fs::create_dir(&path).expect("a directory");
    symlink(&precious, path.join("out")).expect("a link");
    symlink("/nowhere", path.join("dangling")).expect("a link");
    let fifo = nix::sys::stat::Mode::S_IRUSR;
    nix::unistd::mkfifo(&path.join("fifo"), fifo).expect("a FIFO");
    let link = root.path().join("link");
    symlink(&precious, &link).expect("a link");
    for path in [&path, &link] {
        remove(path, &Progress::default()).expect("removed");
        assert!(path.symlink_metadata().is_err());
    }
    assert!(precious.join("file").exists());
}

#[test]
fn what_is_moved_away_meanwhile_is_left_alone() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("tree");
    nest(&path, OPEN * 2);
    let mut walk = Walk::open(&path).expect("opened");
    let mut entered = 0;
    while entered <= OPEN + 10 {
        let found = walk.next().expect("it goes on");
        entered += usize::from(matches!(found, Some(Found::Entered)));
    }
    let away = root.path().join("away");
    fs::rename(path.join("directory/directory"), &away).expect("moved");
    let mut lost = 0;
    while let Some(found) = walk.next().expect("it goes on") {
        lost += usize::from(matches!(found, Found::Lost));
    }
    assert_eq!(lost, 1, "it does not come back another way");
}

#[test]
fn a_very_large_file_goes_in_steps_and_one_with_another_name_stays_whole() {
    let root = tempfile::tempdir().expect("a directory");
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("tree")).expect("a directory");
    // Both are sparse.
    for name in ["tree/large", "tree/linked"] {
        let file = fs::File::create(at(name)).expect("a file");
        file.set_len(5 << 30).expect("lengthened");
    }
    fs::hard_link(at("tree/linked"), at("elsewhere")).expect("a link");
    let large = fs::File::open(at("tree/large")).expect("opened");
    remove(&at("tree"), &Progress::default()).expect("removed");
    assert!(!at("tree").exists());
    let length = |file: &fs::File| file.metadata().expect("there").len();
    assert_eq!(length(&large), 1 << 30, "its last piece went with its name");
    let elsewhere = fs::File::open(at("elsewhere")).expect("opened");
    assert_eq!(length(&elsewhere), 5 << 30);
}
