//! Reading logs from real files: whole, the end, growth, rotation.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt};

use super::*;

const T: &str = "2026-01-01T00:00:0";

fn append(path: &Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut f| f.write_all(text.as_bytes()))
        .unwrap();
}

async fn collect(path: &Path, options: Options) -> String {
    let lines: Vec<Line> = read(path.into(), options).try_collect().await.unwrap();
    let bytes: Vec<u8> = lines.iter().flat_map(|l| l.text.to_vec()).collect();
    String::from_utf8(bytes).unwrap()
}

fn tail(count: usize) -> Options {
    Options {
        tail: Some(count),
        ..Options::default()
    }
}

#[tokio::test]
async fn the_end_counts_joined_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    for line in ["F a", "P b", "P b", "F b", "F c"] {
        append(&path, &format!("{T}1Z stdout {line}\n"));
    }
    assert_eq!(collect(&path, Options::default()).await, "a\nbbb\nc\n");
    for (count, text) in [
        (0, ""),
        (1, "c\n"),
        (2, "bbb\nc\n"),
        (3, "a\nbbb\nc\n"),
        (9, "a\nbbb\nc\n"),
    ] {
        assert_eq!(collect(&path, tail(count)).await, text, "tail {count}");
    }
}

#[tokio::test]
async fn the_end_of_a_log_of_many_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    let long = "x".repeat(100);
    let all: String = (0..5000)
        .map(|n| format!("{T}1Z stderr F {n} {long}\n"))
        .collect();
    append(&path, &all);
    for count in [1, 499, 1000, 4999, 5000] {
        let text = collect(&path, tail(count)).await;
        assert_eq!(text.lines().count(), count);
        assert!(text.starts_with(&format!("{} x", 5000 - count)));
    }
}

#[tokio::test]
async fn since_leaves_out_what_is_older() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &format!("{T}1Z stdout F a\n{T}2Z stdout F b\n"));
    let options = Options {
        since: Some("2026-01-01T00:00:02Z".parse().unwrap()),
        ..Options::default()
    };
    assert_eq!(collect(&path, options).await, "b\n");
}

#[tokio::test]
async fn a_missing_log_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Box::pin(read(dir.path().join("none"), Options::default()));
    let error = lines.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn following_goes_on_through_rotation_until_the_container_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &format!("{T}1Z stdout F a\n"));
    let until = CancellationToken::new();
    let options = Options {
        follow: Some(until.clone()),
        ..Options::default()
    };
    let mut lines = Box::pin(read(path.clone(), options));
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(2), lines.next());
        let line = line.await.expect("a line in time");
        line.map(|l| String::from_utf8(l.unwrap().text.to_vec()).unwrap())
    };
    assert_eq!(next().await.as_deref(), Some("a\n"));
    // An entry that is written in two pieces is one line.
    append(&path, &format!("{T}2Z stdo"));
    append(&path, "ut F b\n");
    assert_eq!(next().await.as_deref(), Some("b\n"));
    fs::rename(&path, dir.path().join("0.log.1")).unwrap();
    append(&dir.path().join("0.log.1"), &format!("{T}3Z stdout F c\n"));
    append(&path, &format!("{T}4Z stdout F d\n"));
    assert_eq!(next().await.as_deref(), Some("c\n"));
    assert_eq!(next().await.as_deref(), Some("d\n"));
    append(&path, &format!("{T}5Z stdout F e\n"));
    until.cancel();
    assert_eq!(next().await.as_deref(), Some("e\n"));
    assert_eq!(next().await, None);
}

mod rotated;
