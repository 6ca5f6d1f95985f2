//! The store on a real directory.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::api::{ObjectKey, Origin, PodKey, Revision};

fn record(uid: &str, second: i64) -> PodRecord {
    PodRecord {
        renewals: BTreeMap::default(),
        key: PodKey {
            namespace: "default".to_owned(),
            name: format!("a-{uid}"),
            uid: Uid::new(uid),
        },
        set: ObjectKey::new("default", "a"),
        revision: Revision::new("5d8c"),
        pod: Pod::default(),
        created_at: Timestamp::from_second(second).expect("a time"),
        ending_since: None,
        evicted: None,
    }
}

fn file(name: &str, text: &str) -> LastGoodFile {
    let origin = Origin {
        file: name.to_owned(),
        document: 1,
        line: 1,
    };
    LastGoodFile {
        file: name.to_owned(),
        objects: vec![(origin, json!({"kind": "ConfigMap", "data": {"a": text}}))],
    }
}

fn put(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).expect("a file");
    file.write_all(bytes).expect("written");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

#[test]
fn the_line_of_time_is_there_after_a_restart() {
    let root = tempfile::tempdir().expect("a directory");
    let line = crate::clock::line();
    {
        let store = Store::open(root.path()).expect("open");
        assert_eq!(store.line().expect("readable"), None);
        store.put_line(&line).expect("written");
    }
    let store = Store::open(root.path()).expect("open again");
    assert_eq!(store.line().expect("readable"), Some(line));
    put(&root.path().join("clock.json"), b"{}");
    assert!(store.line().is_err());
    assert_eq!(store.line().expect("moved aside"), None);
}

#[test]
fn records_are_there_after_a_restart_in_the_order_they_were_made() {
    let root = tempfile::tempdir().expect("a directory");
    let state = root.path().join("state");
    let (first, second) = (record("b", 1), record("a", 2));
    {
        let store = Store::open(&state).expect("open");
        store.put_pod(&second).expect("written");
        store.put_pod(&first).expect("written");
        store.put_pod(&record("c", 3)).expect("written");
        store.remove_pod(&Uid::new("c")).expect("removed");
        store.remove_pod(&Uid::new("c")).expect("removed already");
    }
    let store = Store::open(&state).expect("open again");
    let mut ended = first.clone();
    ended.ending_since = Some(Timestamp::from_second(9).expect("a time"));
    store.put_pod(&ended).expect("replaced");
    assert_eq!(store.pods().expect("a list"), (vec![ended, second], vec![]));
    assert_eq!(
        (mode(&state), mode(&state.join("records/a.json"))),
        (0o700, 0o600)
    );
}

#[test]
fn a_damaged_record_is_moved_aside_and_the_rest_is_read() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("open");
    for (uid, second) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        store.put_pod(&record(uid, second)).expect("written");
    }
    let path = |name: &str| root.path().join("records").join(name);
    let whole = fs::read(path("a.json")).expect("read");
    put(&path("a.json"), &whole[..whole.len() / 2]);
    let text = String::from_utf8(fs::read(path("b.json")).expect("read")).expect("text");
    put(
        &path("b.json"),
        text.replace("default", "defaulT").as_bytes(),
    );
    put(
        &path("c.json"),
        text.replacen("\"version\":1", "\"version\":2", 1)
            .as_bytes(),
    );
    put(&path("e.new"), b"half");
    let (records, corrupt) = store.pods().expect("a list");
    assert_eq!(records, [record("d", 4)]);
    let reports: BTreeMap<_, _> = corrupt
        .iter()
        .map(|c| {
            (
                c.path.file_name().expect("a name").to_owned(),
                c.to_string(),
            )
        })
        .collect();
    assert!(reports["a.json".as_ref() as &std::ffi::OsStr].contains("cut off; moved to"));
    assert!(reports["b.json".as_ref() as &std::ffi::OsStr].contains("checksum does not match"));
    assert!(reports["c.json".as_ref() as &std::ffi::OsStr].ends_with("newer setlet, in format 2"));
    assert!(path("a.corrupt").exists() && path("c.json").exists());
    assert_eq!(
        store.pods().expect("a list").1.len(),
        1,
        "only the newer one is left to report"
    );
    drop(store);
    drop(Store::open(root.path()).expect("open again"));
    assert!(!path("e.new").exists());
}

#[test]
fn a_second_agent_is_told_who_the_first_is() {
    let root = tempfile::tempdir().expect("a directory");
    let first = Store::open(root.path()).expect("open");
    let error = Store::open(root.path()).expect_err("locked").to_string();
    let pid = format!("pid {}", std::process::id());
    assert!(
        error.contains(&pid) && error.contains("paths.state"),
        "{error}"
    );
    drop(first);
    Store::open(root.path()).expect("free again");
}

#[test]
fn last_good_files_are_kept_replaced_and_forgotten() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("open");
    let files = ["/m/a.yaml", "/m/b.yaml", "/m/c.yaml"].map(|name| file(name, "1"));
    store.put_last_good(files).expect("written");
    store
        .put_last_good([file("/m/a.yaml", "2")])
        .expect("written");
    assert_eq!(
        store.last_good("/m/a.yaml"),
        Ok(Some(file("/m/a.yaml", "2")))
    );
    assert_eq!(store.last_good("/m/x.yaml"), Ok(None));
    let mut empty = file("/m/b.yaml", "");
    empty.objects.clear();
    store.put_last_good([empty]).expect("forgotten");
    assert_eq!(store.last_good("/m/b.yaml"), Ok(None));
    store.retain_last_good(["/m/a.yaml"]).expect("retained");
    assert_eq!(store.last_good("/m/c.yaml"), Ok(None));
    assert!(store.last_good("/m/a.yaml").expect("whole").is_some());
    for entry in fs::read_dir(root.path().join("last-good")).expect("a list") {
        assert_eq!(mode(&entry.expect("an entry").path()), 0o600);
    }
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_and_the_old_record_stays() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("open");
    store.put_pod(&record("a", 1)).expect("written");
    // A directory where the new file would be: it cannot be made, even by root.
    fs::create_dir(root.path().join("records/a.new")).expect("a directory");
    let error = store.put_pod(&record("a", 2)).expect_err("not written");
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(store.pods().expect("a list").0, [record("a", 1)]);
}

#[test]
fn a_uid_that_is_a_path_is_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("open");
    for uid in ["", "../a", "a/b", "a.b"] {
        assert!(store.put_pod(&record(uid, 1)).is_err(), "{uid}");
    }
}

#[test]
fn an_end_is_kept_where_nothing_can_be_written() {
    let root = tempfile::tempdir().expect("a directory");
    let state = root.path().join("state");
    let at = Timestamp::from_second(77).expect("a time");
    let ending = PodRecord {
        ending_since: Some(at),
        ..record("a", 1)
    };
    let store = Store::open(&state).expect("open");
    store.put_pod(&record("a", 1)).expect("written");
    // What is in the way of the file that is to be written does what a full disk does.
    let in_the_way = state.join("records/a.new");
    fs::create_dir(&in_the_way).expect("a directory");
    assert!(store.put_pod(&ending).is_err());
    store.end_pod(&ending).expect("marked");
    store.end_pod(&ending).expect("marked already");
    let (found, corrupt) = store.pods().expect("read");
    assert_eq!((found, corrupt), (vec![ending.clone()], Vec::new()));

    fs::remove_dir(&in_the_way).expect("room");
    store.end_pod(&ending).expect("written");
    assert_eq!(store.pods().expect("read").0, [ending]);
    store.remove_pod(&Uid::new("a")).expect("removed");
    assert_eq!(store.pods().expect("read").0, []);
    assert_eq!(
        fs::read_dir(state.join("records")).expect("read").count(),
        0
    );
}

#[test]
fn whether_an_agent_uses_a_directory_is_seen_from_outside() {
    let root = tempfile::tempdir().expect("a directory");
    let state = root.path().join("state");
    let is_used = super::lock::is_used;
    assert!(!is_used(&state), "there is none");
    let store = Store::open(&state).expect("open");
    assert!(is_used(&state));
    drop(store);
    assert!(!is_used(&state));
    Store::open(&state).expect("looking leaves nothing behind");
}
