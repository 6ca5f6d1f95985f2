//! Who is trusted, on real directories, links and access control lists.

use super::*;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

fn why(uid: u32, gid: u32, mode: u32) -> Option<String> {
    let owner = Owner { uid, gid, mode };
    distrust("/m/a.yaml", owner, 1000, Path::new("/dev/null"))
}

#[test]
fn root_and_the_agents_own_user_are_trusted() {
    assert_eq!(why(0, 0, 0o100_644), None);
    assert_eq!(why(1000, 1000, 0o100_600), None);
    assert_eq!(
        why(0, 0, 0o041_777),
        None,
        "sticky: files cannot be replaced"
    );
}

#[test]
fn others_are_named_with_mode_and_owner() {
    let says = |found: Option<String>, wanted: &str| assert_eq!(found.as_deref(), Some(wanted));
    says(
        why(33, 33, 0o100_644),
        "/m/a.yaml is owned by user 33 (mode 0644), who could change it",
    );
    says(
        why(0, 0, 0o100_666),
        "/m/a.yaml is writable by every user (mode 0666, owner 0)",
    );
    says(
        why(0, 0, 0o100_664),
        "/m/a.yaml is writable by group 0 (mode 0664, owner 0)",
    );
    assert!(
        why(0, 0, 0o101_666).is_some(),
        "sticky means nothing on a file"
    );
}

/// An access control list with these entries, as the kernel keeps it.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Owner, group and others as in 0644, user 33 with these permissions, and this mask.
fn for_user(permissions: u16, mask: u16) -> Vec<u8> {
    let none = u32::MAX;
    list(&[
        (0x01, 6, none),
        (0x02, permissions, 33),
        (0x04, 4, none),
        (0x10, mask, none),
        (0x20, 4, none),
    ])
}

#[test]
fn lists_name_who_may_write() {
    assert_eq!(named_writer(&for_user(6, 6)).as_deref(), Some("user 33"));
    assert_eq!(named_writer(&for_user(4, 6)), None);
    assert_eq!(named_writer(&for_user(6, 4)), None, "the mask takes it");
    assert_eq!(named_writer(b""), None);
    assert_eq!(named_writer(&[2, 0, 0, 0, 1]), None);
}

/// A directory with this mode.
fn directory(mode: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(mode)).expect("a mode");
    directory
}

fn file(path: &Path, mode: u32) {
    let file = File::create(path).expect("a file");
    file.set_permissions(Permissions::from_mode(mode))
        .expect("a mode");
}

#[test]
fn every_directory_on_the_way_counts() {
    let above = directory(0o755);
    let at = |name: &str| above.path().join(name);
    fs::create_dir_all(at("m/sub")).expect("directories");
    file(&at("m/sub/a.yaml"), 0o644);
    let look = || go(&at("m/sub/a.yaml")).expect("found").distrust;
    assert_eq!(look(), None);
    fs::set_permissions(at("m"), Permissions::from_mode(0o775)).expect("a mode");
    let wanted = format!("the directory {} is writable by group", at("m").display());
    assert!(look().is_some_and(|why| why.starts_with(&wanted)));
    let refused = insist(&at("m/sub/a.yaml")).expect_err("refused");
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    assert!(
        refused
            .to_string()
            .ends_with("; make it writable by root only")
    );
    // Also by way of a link in a good place.
    symlink(at("m/sub/a.yaml"), at("link")).expect("a link");
    assert!(go(&at("link")).expect("found").distrust.is_some());
    assert!(go(&at("none")).is_err());
    symlink("loop", at("loop")).expect("a link");
    let endless = go(&at("loop")).expect_err("endless");
    assert_eq!(endless.raw_os_error(), Some(Errno::ELOOP as i32));
}

#[test]
fn access_control_lists_count_on_files_and_directories() {
    let above = directory(0o755);
    let path = above.path().join("a.yaml");
    file(&path, 0o644);
    let look = || go(&path).expect("found").distrust.unwrap_or_default();
    let set = |path: &Path, name: &str, list: &[u8]| {
        rustix::fs::setxattr(path, name, list, rustix::fs::XattrFlags::empty())
            .expect("a filesystem with access control lists");
    };
    set(&path, "system.posix_acl_access", &for_user(6, 6));
    assert!(
        look().contains("a.yaml is writable by user 33"),
        "{}",
        look()
    );
    set(&path, "system.posix_acl_access", &for_user(6, 4));
    assert_eq!(look(), "");
    let default = for_user(6, 6);
    set(above.path(), "system.posix_acl_default", &default);
    assert!(
        look().contains("gives user 33 what is made in it"),
        "{}",
        look()
    );
}

#[test]
fn a_link_of_another_user_in_a_sticky_directory_is_not_followed_in_trust() {
    let above = directory(0o1777);
    let at = |name: &str| above.path().join(name);
    file(&at("real.yaml"), 0o644);
    symlink("real.yaml", at("a.yaml")).expect("a link");
    assert_eq!(go(&at("a.yaml")).expect("found").distrust, None);
    std::os::unix::fs::lchown(at("a.yaml"), Some(33), Some(33)).expect("given away");
    let why = go(&at("a.yaml"))
        .expect("found")
        .distrust
        .expect("a reason");
    assert!(why.contains("is a link of user 33"), "{why}");
    // A directory that is not sticky is only written by those it is judged by.
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(go(&at("a.yaml")).expect("found").distrust, None);
}

#[test]
fn a_list_that_only_lets_read_is_no_writer_though_its_mask_would_allow_it() {
    let above = directory(0o755);
    let path = above.path().join("a.yaml");
    file(&path, 0o644);
    let set = |list: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&path, "system.posix_acl_access", list, flags)
            .expect("a filesystem with access control lists");
    };
    // User 33 may read, the mask allows writing: the mode's group bits say 6.
    set(&for_user(4, 6));
    assert_eq!(go(&path).expect("found").distrust, None);
    let none = u32::MAX;
    let mut entries = [
        (0x01, 6, none),
        (0x02, 4, 33),
        (0x04, 6, none),
        (0x10, 6, none),
        (0x20, 4, none),
    ];
    set(&list(&entries));
    let why = go(&path).expect("found").distrust.unwrap_or_default();
    assert!(why.contains("a.yaml is writable by group "), "{why}");
    // The mask takes it from the owning group too.
    entries[3].1 = 4;
    set(&list(&entries));
    assert_eq!(go(&path).expect("found").distrust, None);
}

#[test]
fn a_step_back_counts_by_the_directory_it_leads_to() {
    let above = directory(0o1777);
    let at = |name: &str| above.path().join(name);
    fs::create_dir(at("sub")).expect("a directory");
    file(&at("real.yaml"), 0o644);
    symlink("real.yaml", at("a.yaml")).expect("a link");
    std::os::unix::fs::lchown(at("a.yaml"), Some(33), Some(33)).expect("given away");
    let why = go(&at("sub/../a.yaml")).expect("found").distrust;
    assert!(
        why.as_ref()
            .is_some_and(|why| why.contains("is a link of user 33")),
        "{why:?}"
    );
}
