//! The files of cgroups, on directories that stand for the kernel's.

use super::*;

fn bounds() -> Bounds {
    Bounds {
        cpu_shares: 1024,
        cpu_quota: Some(5000),
        memory: Some(1 << 20),
        pids: None,
        hugepages: [("1GB".to_owned(), 0), ("2MB".to_owned(), 8 << 20)].into(),
    }
}

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::File::create(path).expect("a file");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

#[test]
fn bounds_go_to_the_controllers_that_are_there() {
    let root = tempfile::tempdir().expect("a directory");
    let pod = root.path().join("cpu/setlet/podx");
    for name in ["cpu.shares", "cpu.cfs_quota_us"] {
        touch(&pod.join(name));
    }
    assert!(bound(root.path(), "/setlet/podx", &bounds(), true).is_ok());
    assert_eq!(read(&pod.join("cpu.shares")), "1024");
    assert_eq!(read(&pod.join("cpu.cfs_quota_us")), "5000");
    assert!(!root.path().join("memory").exists());
}

#[test]
fn shares_become_weights() {
    let files = unified(&bounds());
    assert_eq!(files[0], file("cpu.weight", "39"));
    assert_eq!(files[1], file("cpu.max", "5000 100000"));
    let weight = |shares| unified_shares(shares).1;
    let weights = [2, 512, 2048, 262_144].map(weight);
    assert_eq!(weights, ["1", "20", "79", "10000"]);
}

#[test]
fn huge_pages_are_bounded_in_use_and_reserved_on_both_versions() {
    let root = tempfile::tempdir().expect("a directory");
    let legacy = root.path().join("hugetlb/setlet/podx");
    for name in ["limit_in_bytes", "rsvd.limit_in_bytes"] {
        touch(&legacy.join(format!("hugetlb.2MB.{name}")));
    }
    // A kernel without the reservation's file for this size.
    touch(&legacy.join("hugetlb.1GB.limit_in_bytes"));
    assert!(bound(root.path(), "/setlet/podx", &bounds(), true).is_ok());
    let of = |name: &str| read(&legacy.join(name));
    assert_eq!(of("hugetlb.2MB.limit_in_bytes"), "8388608");
    assert_eq!(of("hugetlb.2MB.rsvd.limit_in_bytes"), "8388608");
    assert_eq!(of("hugetlb.1GB.limit_in_bytes"), "0");

    let root = tempfile::tempdir().expect("a directory");
    let pod = root.path().join("setlet/podx");
    touch(&root.path().join("cgroup.controllers"));
    for name in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "hugetlb.1GB.max"] {
        touch(&pod.join(name));
    }
    assert!(bound(root.path(), "/setlet/podx", &bounds(), true).is_ok());
    let of = |name: &str| read(&pod.join(name));
    assert_eq!(of("hugetlb.2MB.max"), "8388608");
    assert_eq!(of("hugetlb.2MB.rsvd.max"), "8388608");
    assert_eq!(of("hugetlb.1GB.max"), "0");
}

#[test]
fn the_best_effort_class_has_least_from_its_first_pod_on() {
    let root = tempfile::tempdir().expect("a directory");
    let class = root.path().join("setlet/besteffort");
    touch(&root.path().join("cgroup.controllers"));
    touch(&root.path().join("setlet/cgroup.subtree_control"));
    touch(&class.join("cpu.weight"));
    assert!(bound(root.path(), "/setlet/besteffort/podx", &bounds(), true).is_ok());
    assert_eq!(read(&class.join("cpu.weight")), "1");
    let handed = read(&root.path().join("setlet/cgroup.subtree_control"));
    assert!(handed.starts_with("+hugetlb"), "{handed}");

    let root = tempfile::tempdir().expect("a directory");
    let class = root.path().join("cpu/setlet/besteffort");
    touch(&class.join("cpu.shares"));
    assert!(bound(root.path(), "/setlet/besteffort/podx", &bounds(), true).is_ok());
    assert_eq!(read(&class.join("cpu.shares")), "2");
}

#[test]
fn slices_of_systemd_are_bounded_and_not_made() {
    let root = tempfile::tempdir().expect("a directory");
    touch(&root.path().join("cgroup.controllers"));
    let there = root.path().join("a.slice");
    touch(&there.join("cpu.weight"));
    assert!(bound(root.path(), "/a.slice", &bounds(), false).is_ok());
    assert_eq!(read(&there.join("cpu.weight")), "39");
    assert!(bound(root.path(), "/a.slice/a-b.slice", &bounds(), false).is_ok());
    assert!(!there.join("a-b.slice").exists());
}
