//! Reading across rotated and compressed files.

use flate2::write::GzEncoder;

use super::*;

const NAMES: [&str; 4] = [
    "0.log.20260101-000001.gz",
    "0.log.20260101-000001.1.gz",
    "0.log.20260101-000002",
    "0.log",
];

fn compress(from: &Path, to: &Path) {
    let modified = fs::metadata(from).and_then(|meta| meta.modified()).unwrap();
    let file = fs::File::create(to).unwrap();
    let mut encoder = GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(&fs::read(from).unwrap()).unwrap();
    let times = fs::FileTimes::new().set_modified(modified);
    encoder.finish().unwrap().set_times(times).unwrap();
    fs::remove_file(from).unwrap();
}

/// A log of four files with these entries, the first two files compressed.
fn log(dir: &Path, files: [&[&str]; 4]) -> PathBuf {
    for (name, entries) in NAMES.iter().zip(files) {
        let path = dir.join(name.trim_end_matches(".gz"));
        append(&path, "");
        for entry in entries {
            append(&path, &format!("{T}1Z stdout {entry}\n"));
        }
        if name.ends_with(".gz") {
            compress(&path, &dir.join(name));
        }
    }
    dir.join("0.log")
}

#[tokio::test]
async fn all_files_are_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let files: [&[&str]; 4] = [
        &["F 1", "F 2", "P 3"],
        &["F 3", "F 4", "P 5"],
        &["P 5"],
        &["F 5", "F 6", "P 7"],
    ];
    let path = log(dir.path(), files);
    // What is beside a log is not read.
    append(&dir.path().join("0.log.20260101-000003.tmp"), "x");
    append(&dir.path().join("10.log"), &format!("{T}1Z stdout F x\n"));
    let whole = collect(&path, Options::default()).await;
    assert_eq!(whole, "1\n2\n33\n4\n555\n6\n7");
    let lines = ["1\n", "2\n", "33\n", "4\n", "555\n", "6\n"];
    for count in 1..10 {
        let wanted = lines[lines.len().saturating_sub(count)..].concat() + "7";
        assert_eq!(collect(&path, tail(count)).await, wanted, "tail {count}");
    }
    assert_eq!(collect(&path, tail(0)).await, "");
}

#[tokio::test]
async fn the_end_of_large_files() {
    let dir = tempfile::tempdir().unwrap();
    let texts: Vec<Vec<String>> = (0..4)
        .map(|file| {
            let numbers = file * 3000..(file + 1) * 3000;
            numbers.map(|n| format!("F {n:060}")).collect()
        })
        .collect();
    let entries: Vec<Vec<&str>> = texts
        .iter()
        .map(|file| file.iter().map(String::as_str).collect())
        .collect();
    let files = [0, 1, 2, 3].map(|index: usize| entries[index].as_slice());
    let path = log(dir.path(), files);
    for count in [
        1, 2999, 3000, 3001, 6000, 6001, 8999, 9000, 11_999, 12_000, 99_999,
    ] {
        let text = collect(&path, tail(count)).await;
        let count = count.min(12_000);
        assert_eq!(text.lines().count(), count);
        assert!(
            text.starts_with(&format!("{:060}\n", 12_000 - count)),
            "{count}"
        );
    }
}

#[tokio::test]
async fn since_reaches_into_rotated_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), [&["F 1"], &["F 2"], &["F 3"], &["F 4"]]);
    let old = jiff::Timestamp::UNIX_EPOCH;
    for name in &NAMES[..2] {
        let times = fs::FileTimes::new().set_modified(old.into());
        let file = fs::File::options().append(true).open(dir.path().join(name));
        file.unwrap().set_times(times).unwrap();
    }
    let since = |text: &str| Options {
        since: Some(text.parse().unwrap()),
        ..Options::default()
    };
    // The first two files are not even opened: they were last written long before.
    assert_eq!(
        collect(&path, since("2026-01-01T00:00:01Z")).await,
        "3\n4\n"
    );
    assert_eq!(collect(&path, since("2026-01-01T00:00:02Z")).await, "");
    assert_eq!(
        collect(&path, since("1960-01-01T00:00:00Z")).await,
        "1\n2\n3\n4\n"
    );
}

#[tokio::test]
async fn a_damaged_file_does_not_hide_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), [&["F 1"], &["F 2"], &["F 3"], &["F 4"]]);
    fs::remove_file(dir.path().join(NAMES[1])).unwrap();
    append(&dir.path().join(NAMES[1]), "no gzip");
    assert_eq!(collect(&path, Options::default()).await, "1\n3\n4\n");
    assert_eq!(collect(&path, tail(3)).await, "1\n3\n4\n");
}

#[tokio::test]
async fn a_rotation_that_was_cut_short_leaves_a_log_without_its_newest_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), [&["F 1"], &["F 2"], &["F 3"], &["F 4"]]);
    fs::remove_file(&path).unwrap();
    assert_eq!(collect(&path, Options::default()).await, "1\n2\n3\n");
}

#[tokio::test]
async fn following_misses_no_file_although_many_come_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &format!("{T}1Z stdout F 1\n"));
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
    assert_eq!(next().await.as_deref(), Some("1\n"));
    // Twice: once beginning with no rotated file, once with some.
    for round in 0..2 {
        let first = round * 3 + 1;
        append(&path, &format!("{T}1Z stdout P {first}+\n"));
        for number in 0..3 {
            let rotated = dir
                .path()
                .join(format!("0.log.2026011{round}-00000{number}"));
            fs::rename(&path, &rotated).unwrap();
            append(&path, &format!("{T}1Z stdout F {}\n", first + number));
            if number > 0 {
                let older = format!("0.log.2026011{round}-00000{}", number - 1);
                let older = dir.path().join(older);
                compress(&older, &older.with_added_extension("gz"));
            }
        }
        assert_eq!(next().await, Some(format!("{first}+{first}\n")));
        assert_eq!(next().await, Some(format!("{}\n", first + 1)));
        assert_eq!(next().await, Some(format!("{}\n", first + 2)));
    }
    until.cancel();
    assert_eq!(next().await, None);
}
