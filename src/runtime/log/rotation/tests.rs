//! Compressing and removing real files, and what interrupted work leaves.

use std::os::unix::fs::PermissionsExt;

use flate2::read::GzDecoder;

use super::*;

const NOW: &str = "2026-01-01T01:00:00Z";

/// A compression that nothing ends.
fn never(on: &Progress) -> Stop<'_> {
    let stop = CancellationToken::new();
    Stop { stop, on }
}

struct Logs {
    dir: tempfile::TempDir,
}

impl Logs {
    fn new(files: &[&str]) -> Self {
        let logs = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in files {
            let mut file = File::create(logs.path(name)).unwrap();
            file.write_all(name.repeat(10_000).as_bytes()).unwrap();
        }
        logs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn tidy(&self, keep: usize) -> Tidied {
        let now = NOW.parse().unwrap();
        let room = Blocking::default();
        let stop = CancellationToken::new();
        let done = tidy(&room, self.path("0.log"), keep, now, stop);
        done.await.unwrap()
    }
}

#[tokio::test]
async fn old_files_are_compressed_one_at_a_time_and_too_many_go() {
    let logs = Logs::new(&[
        "0.log",
        "0.log.20260101-000000",
        "0.log.20260101-000001",
        "0.log.20260101-000001.tmp",
        "0.log.20260101-000002",
        "0.log.20260101-000003",
        "1.log",
    ]);
    let plain = logs.path("0.log.20260101-000001");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&plain).unwrap();

    let first = logs.tidy(3).await;
    assert_eq!((first.compressed, first.left), (true, Left::More));
    let second = logs.tidy(3).await;
    assert_eq!((second.compressed, second.left), (true, Left::Nothing));
    let third = logs.tidy(3).await;
    assert_eq!((third.compressed, third.left), (false, Left::Nothing));
    assert_eq!(
        logs.names(),
        [
            "0.log",
            "0.log.20260101-000001.gz",
            "0.log.20260101-000002.gz",
            "0.log.20260101-000003",
            "1.log",
        ]
    );

    let gzip = logs.path("0.log.20260101-000001.gz");
    let after = fs::metadata(&gzip).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert!(after.len() < before.len() / 10);
    let mut text = String::new();
    let mut file = GzDecoder::new(File::open(gzip).unwrap());
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0.log.20260101-000001".repeat(10_000));
}

#[tokio::test]
async fn a_compression_that_is_stopped_or_fails_leaves_the_file_as_it_was() {
    let files = ["0.log.20260101-000000", "0.log.20260101-000001"];
    let logs = Logs::new(&files);
    let stop = CancellationToken::new();
    stop.cancel();
    let now = NOW.parse().unwrap();
    let room = Blocking::default();
    let done = tidy(&room, logs.path("0.log"), 4, now, stop);
    done.await.unwrap();
    assert_eq!(logs.names(), files);

    // Writing fails, as on a full disk.
    let stamp = Stamp::parse("20260101-000000").unwrap();
    let full = logs.path("0.log.20260101-000000.tmp");
    let create = |_: &Metadata, path: &Path| {
        std::os::unix::fs::symlink("/dev/full", path)?;
        OpenOptions::new().write(true).open(&full)
    };
    let on = Progress::default();
    let stop = never(&on);
    let error = compress_into(&logs.path("0.log"), stamp, &stop, create).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(logs.names(), files);
}

#[test]
fn a_compressed_file_is_new_and_nobodys_elses_from_its_first_byte() {
    let logs = Logs::new(&["0.log.20260101-000000", "other"]);
    let plain = logs.path("0.log.20260101-000000");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
    let unfinished = logs.path("0.log.20260101-000000.tmp");
    std::os::unix::fs::symlink("other", &unfinished).unwrap();
    let made = create_like(&fs::metadata(&plain).unwrap(), &unfinished).unwrap();
    let meta = made.metadata().unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o7777), (0, 0o640));
    assert!(fs::metadata(logs.path("other")).unwrap().len() > 0);
}

#[tokio::test]
async fn what_is_no_file_is_none_of_the_logs() {
    let logs = Logs::new(&["0.log.20260101-000002", "0.log.20260101-000003", "other"]);
    std::os::unix::fs::symlink("other", logs.path("0.log.20260101-000000")).unwrap();
    let fifo = logs.path("0.log.20260101-000001");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let done = logs.tidy(3).await;
    assert!(done.compressed);
    assert_eq!(
        logs.names(),
        [
            "0.log.20260101-000000",
            "0.log.20260101-000001",
            "0.log.20260101-000002.gz",
            "0.log.20260101-000003",
            "other",
        ]
    );
    // The log itself may be none either.
    assert_eq!(size(&fifo), Size::Unknown);
    assert_eq!(size(&logs.path("0.log.20260101-000000")), Size::Unknown);
}

#[test]
fn a_log_that_was_removed_meanwhile_leaves_nothing() {
    let logs = Logs::new(&[]);
    let stamp = Stamp::parse("20260101-000000").unwrap();
    let on = Progress::default();
    compress(&logs.path("0.log"), stamp, &never(&on)).unwrap();
    compress(&logs.path("none/0.log"), stamp, &never(&on)).unwrap();
    assert_eq!(logs.names(), [] as [&str; 0]);
}

#[test]
fn a_file_gets_its_name_back_unless_there_is_a_newer_one() {
    let logs = Logs::new(&["0.log.20260101-000000"]);
    let rotated = logs.path("0.log.20260101-000000");
    rename_back(&rotated, &logs.path("0.log")).unwrap();
    assert_eq!(logs.names(), ["0.log"]);

    let logs = Logs::new(&["0.log", "0.log.20260101-000000"]);
    rename_back(&logs.path("0.log.20260101-000000"), &logs.path("0.log")).unwrap();
    assert_eq!(logs.names(), ["0.log", "0.log.20260101-000000"]);
}

#[tokio::test]
async fn sizes_tell_a_missing_log_from_a_missing_directory() {
    let logs = Logs::new(&["0.log"]);
    let paths = ["0.log", "1.log", "none/0.log"].map(|name| logs.path(name));
    assert_eq!(
        sizes(&Blocking::default(), paths.to_vec().into())
            .await
            .unwrap(),
        [Size::Bytes(50_000), Size::Missing, Size::Unknown]
    );
}
