//! Reading logs from real files: whole, the end, growth, rotation.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

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

/// A line of the file of this many megabytes, between two others.
fn with_a_long_line(path: &Path, begins: &str, megabytes: usize) {
    append(path, &format!("{T}1Z stdout F a\n{begins}"));
    let piece = "x".repeat(1 << 20);
    for _ in 0..megabytes {
        append(path, &piece);
    }
    append(path, &format!("\n{T}1Z stdout F b\n"));
}

#[tokio::test]
async fn a_line_without_end_is_handed_on_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    with_a_long_line(&path, &format!("{T}1Z stdout F "), 5);
    for options in [Options::default(), tail(3), tail(2)] {
        let mut lines = std::pin::pin!(read(path.clone(), options));
        let (mut total, mut largest) = (0, 0);
        while let Some(line) = lines.try_next().await.unwrap() {
            total += line.text.iter().filter(|b| **b == b'x').count();
            largest = largest.max(line.text.len());
        }
        assert_eq!(total, 5 << 20);
        assert!(largest < 2 << 20, "{largest}");
    }
    assert_eq!(collect(&path, tail(1)).await, "b\n");
    assert!(collect(&path, tail(2)).await.ends_with("x\nb\n"));
}

#[tokio::test]
async fn a_line_without_end_that_is_no_entry_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    with_a_long_line(&path, "", 3);
    for options in [Options::default(), tail(2)] {
        assert_eq!(collect(&path, options).await, "a\nb\n");
    }
    let mut reader = Reader::open(path, Options::default()).await.unwrap();
    while reader.next().await.unwrap().is_some() {
        assert!(
            reader.rest.len() < 2 * MAX_REST_BYTES,
            "{}",
            reader.rest.len()
        );
    }
    assert!(reader.rest.capacity() < 4 * MAX_REST_BYTES);
}

#[tokio::test]
async fn what_is_no_file_is_not_read_as_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("secret"), &format!("{T}1Z stdout F secret\n"));
    std::os::unix::fs::symlink("secret", at("0.log")).unwrap();
    nix::unistd::mkfifo(&at("1.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for name in ["0.log", "1.log"] {
        let lines: io::Result<Vec<Line>> = read(at(name), tail(1)).try_collect().await;
        let error = lines.unwrap_err().to_string();
        assert!(error.ends_with("not a regular file"), "{error}");
    }
    // Beside a log that is one they are not its rotated files.
    append(&at("2.log"), &format!("{T}1Z stdout F good\n"));
    std::os::unix::fs::symlink("secret", at("2.log.20260101-000000")).unwrap();
    nix::unistd::mkfifo(&at("2.log.20260101-000001"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(collect(&at("2.log"), Options::default()).await, "good\n");
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

/// The inotify instances of this process.
fn instances() -> usize {
    let open = fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        .flatten();
    let inotify = |entry: fs::DirEntry| {
        let to = fs::read_link(entry.path()).unwrap_or_default();
        to == Path::new("anon_inode:inotify")
    };
    open.map(inotify).filter(|is| *is).count()
}

#[tokio::test]
async fn all_who_follow_share_one_watcher() {
    let dir = tempfile::tempdir().unwrap();
    let watches = Watches::default();
    let before = instances();
    let mut all = Vec::new();
    for n in 0..300 {
        let above = dir.path().join((n % 7).to_string());
        fs::create_dir_all(&above).unwrap();
        let path = above.join(format!("{n}.log"));
        append(&path, &format!("{T}1Z stdout F a\n"));
        let options = Options {
            follow: Some(CancellationToken::new()),
            watches: watches.clone(),
            ..Options::default()
        };
        let mut lines = Box::pin(read(path.clone(), options));
        lines.next().await.unwrap().unwrap();
        all.push((path, lines));
    }
    // Other tests follow logs too.
    assert!(instances() < before + 50, "{} of {before}", instances());
    for (path, lines) in &mut all {
        // Nobody waits so long for an event that was not told.
        let next = tokio::time::timeout(WATCHED_POLL / 2, lines.next());
        let (line, ()) = tokio::join!(next, async {
            tokio::task::yield_now().await;
            append(path, &format!("{T}2Z stdout F b\n"));
        });
        assert!(line.expect("told").is_some());
    }
    drop(all);
    let (path, room) = (dir.path().join("0/0.log"), Blocking::default());
    let watcher = watches.watch(&path, &room).await;
    assert!(watcher.is_some(), "it begins again");
}

mod hung;
mod rotated;
