//! The names of a log's rotated files, and which there are, in the order they were written.
//!
//! `0.log` becomes `0.log.20060102-150405` and later `0.log.20060102-150405.gz`, while that is written
//! `….tmp`, as kubelet's container log manager names them (pkg/kubelet/logs). Anything else beside a
//! log is nobody's business here.
//!
//! Differs: the time is UTC, and a second rotation within one second, or after the clock was set
//! back, is named after the one before it with a number, `0.log.20060102-150405.1`, so that no
//! rotation takes another's name and the order of names is always that of writing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const FORMAT: &str = "%Y%m%d-%H%M%S";
const GZIP: &str = ".gz";
const UNFINISHED: &str = ".tmp";

/// When a file was rotated, and which one of that second, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    second: Timestamp,
    number: u32,
}

/// What a rotated file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As the runtime wrote it.
    Plain,
    /// Compressed.
    Gzip,
    /// What a compression that did not come to its end left.
    Unfinished,
}

/// One rotated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    /// When.
    pub stamp: Stamp,
    /// What it is.
    pub form: Form,
}

impl Stamp {
    /// The stamp of a rotation now, given the newest there is.
    pub fn next(now: Timestamp, newest: Option<Self>) -> Self {
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let now = Self { second, number: 0 };
        match newest {
            Some(newest) if newest >= now => Self {
                number: newest.number.saturating_add(1),
                ..newest
            },
            _ => now,
        }
    }

    /// The moment it names.
    pub fn time(&self) -> Timestamp {
        self.second
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (second, number) = match text.split_once('.') {
            Some((second, number)) => (second, number.parse().ok()?),
            None => (text, 0),
        };
        let second = DateTime::strptime(FORMAT, second).ok()?;
        let second = second.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let stamp = Self { second, number };
        Some(stamp).filter(|stamp| stamp.to_string() == text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.second.strftime(FORMAT))?;
        match self.number {
            0 => Ok(()),
            number => write!(f, ".{number}"),
        }
    }
}

impl Rotated {
    /// A file of that stamp and form.
    pub fn new(stamp: Stamp, form: Form) -> Self {
        Self { stamp, form }
    }

    /// Reads a file's name, given the log's.
    fn parse(name: &str, log: &str) -> Option<Self> {
        let rest = name.strip_prefix(log)?.strip_prefix('.')?;
        let (stamp, form) = if let Some(stamp) = rest.strip_suffix(GZIP) {
            (stamp, Form::Gzip)
        } else if let Some(stamp) = rest.strip_suffix(UNFINISHED) {
            (stamp, Form::Unfinished)
        } else {
            (rest, Form::Plain)
        };
        Some(Self::new(Stamp::parse(stamp)?, form))
    }

    /// Where it lies, beside the log.
    pub fn path(&self, log: &Path) -> PathBuf {
        let suffix = match self.form {
            Form::Plain => "",
            Form::Gzip => GZIP,
            Form::Unfinished => UNFINISHED,
        };
        let mut path = log.as_os_str().to_owned();
        path.push(format!(".{}{suffix}", self.stamp));
        path.into()
    }
}

/// A log's rotated files, oldest first. Blocks.
///
/// # Errors
/// When the log's directory cannot be read; one that is not there has no files.
pub(super) fn list(log: &Path) -> io::Result<Vec<Rotated>> {
    let (Some(directory), Some(name)) = (log.parent(), log.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(Vec::new());
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Whoever may write here can put anything under such a name; only a file is one of the log's.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let entry = entry.file_name();
            found.extend(entry.to_str().and_then(|entry| Rotated::parse(entry, name)));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_kubelets_and_nothing_else_is_taken_for_one() {
        let parse = |name: &str| Rotated::parse(name, "0.log");
        for (suffix, form) in [
            ("", Form::Plain),
            (".gz", Form::Gzip),
            (".tmp", Form::Unfinished),
        ] {
            for stamp in ["20060102-150405", "20060102-150405.12"] {
                let name = format!("0.log.{stamp}{suffix}");
                let file = parse(&name).unwrap();
                assert_eq!((file.form, file.stamp.to_string().as_str()), (form, stamp));
                assert_eq!(file.path(Path::new("/d/0.log")), Path::new("/d").join(name));
            }
        }
        for name in [
            "0.log",
            "0.log.",
            "0.log.1",
            "0.log.gz",
            "10.log.20060102-150405",
            "0.log.20061302-150405",
            "0.log.20060102-150405.0",
            "0.log.20060102-150405.+1",
            "0.log.20060102-1504",
            "0.log.20060102-150405.gz.tmp",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_rotation_has_a_later_name() {
        let now = at("2026-01-02T03:04:05.9Z");
        let first = Stamp::next(now, None);
        assert_eq!(first.to_string(), "20260102-030405");
        assert_eq!(first.time(), at("2026-01-02T03:04:05Z"));
        let mut newest = first;
        for number in 1..12 {
            let next = Stamp::next(now, Some(newest));
            assert!(next > newest);
            assert_eq!(next.to_string(), format!("20260102-030405.{number}"));
            newest = next;
        }
        let set_back = Stamp::next(at("2026-01-02T02:00:00Z"), Some(newest));
        assert_eq!(set_back.to_string(), "20260102-030405.12");
        let later = Stamp::next(at("2026-01-02T03:04:06Z"), Some(newest));
        assert_eq!(later.to_string(), "20260102-030406");
    }

    #[test]
    fn files_are_listed_in_the_order_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        assert_eq!(list(&dir.path().join("none/0.log")).unwrap(), []);
        let order = [
            "0.log.20260101-000000.gz",
            "0.log.20260101-000000.2.gz",
            "0.log.20260101-000000.10",
            "0.log.20260101-000001",
        ];
        for name in order
            .iter()
            .rev()
            .chain(&["0.log", "1.log.20260101-000000"])
        {
            std::fs::File::create(dir.path().join(name)).unwrap();
        }
        let found: Vec<_> = list(&log).unwrap().iter().map(|f| f.path(&log)).collect();
        assert_eq!(found, order.map(|name| dir.path().join(name)));
    }
}
