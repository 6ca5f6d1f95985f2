//! Decides what becomes of one log's files: which are removed, which are compressed.
//!
//! Pure. As kubelet's container log manager (pkg/kubelet/logs): of `maxFiles` files one is the log
//! itself, the newest rotated one stays as it is for whoever is still reading it, older ones are
//! compressed, more are removed; what a compression left is removed, and so is a file whose
//! compressed form is there.
//!
//! Differs: kubelet compresses when it rotates the next time, so that a fast writer makes it compress
//! files that are removed a moment later. Here a file is compressed when it has been still for
//! [`REST`], and the one that has longest to live is first.

use std::time::Duration;

use jiff::Timestamp;

use super::rotated::{Form, Rotated, Stamp};
use crate::model::time::later;

/// How long a rotated file is left alone before it is compressed.
pub const REST: Duration = Duration::from_secs(10);

/// What is to be done with the rotated files of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chores {
    /// To be removed, oldest first.
    pub remove: Vec<Rotated>,
    /// To be compressed, newest first.
    pub compress: Vec<Stamp>,
    /// More are to be compressed when they have rested.
    pub resting: bool,
}

/// The rotated files, oldest first, that are more than `keep`. What is being compressed right now
/// is not among them.
pub(super) fn excess(files: &[Rotated], keep: usize) -> Vec<Rotated> {
    let kept = kept(files, keep);
    let goes = |file: &Rotated| file.form != Form::Unfinished && !kept.contains(&file.stamp);
    files.iter().copied().filter(goes).collect()
}

/// The newest stamps; two forms of one file count once.
fn kept(files: &[Rotated], keep: usize) -> Vec<Stamp> {
    let finished = files.iter().filter(|file| file.form != Form::Unfinished);
    let mut stamps: Vec<Stamp> = finished.map(|file| file.stamp).collect();
    stamps.dedup();
    stamps.split_off(stamps.len().saturating_sub(keep))
}

/// Decides about the rotated files of a log, oldest first, of which `keep` may stay, while none of
/// them is being compressed.
pub(super) fn decide(files: &[Rotated], keep: usize, now: Timestamp) -> Chores {
    let kept = kept(files, keep);
    let newest = kept.last().copied();
    let is_kept = |stamp: &Stamp| kept.contains(stamp);
    let has = |stamp: Stamp, form| files.contains(&Rotated::new(stamp, form));

    let goes = |file: &Rotated| match file.form {
        Form::Unfinished => true,
        Form::Gzip => !is_kept(&file.stamp),
        Form::Plain => !is_kept(&file.stamp) || has(file.stamp, Form::Gzip),
    };
    // A clock that was set back since says nothing of a rotation's time, and its rest has no end.
    let rests = |stamp: &Stamp| later(stamp.time(), REST) <= now || later(now, REST) < stamp.time();
    let is_plain = |stamp: &Stamp| has(*stamp, Form::Plain) && !has(*stamp, Form::Gzip);
    let plain = kept.iter().rev().copied().filter(is_plain);
    let (compress, resting) = plain
        .filter(|stamp| Some(*stamp) != newest)
        .partition::<Vec<_>, _>(rests);
    Chores {
        remove: files.iter().copied().filter(goes).collect(),
        compress,
        resting: !resting.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files from `SECOND[.NUMBER][gz|tmp]`, of one minute.
    fn files(names: &[&str]) -> Vec<Rotated> {
        let mut files: Vec<_> = names.iter().map(|name| file(name)).collect();
        files.sort();
        files
    }

    fn file(name: &str) -> Rotated {
        let (stamp, form) = if let Some(stamp) = name.strip_suffix("gz") {
            (stamp, Form::Gzip)
        } else if let Some(stamp) = name.strip_suffix("tmp") {
            (stamp, Form::Unfinished)
        } else {
            (name, Form::Plain)
        };
        Rotated::new(self::stamp(stamp), form)
    }

    fn stamp(text: &str) -> Stamp {
        Stamp::parse(&format!("20260101-0000{text}")).unwrap()
    }

    fn chores(names: &[&str], keep: usize) -> Chores {
        decide(&files(names), keep, "2026-01-01T00:00:40Z".parse().unwrap())
    }

    fn to_do(remove: &[&str], compress: &[&str]) -> Chores {
        Chores {
            remove: remove.iter().map(|name| file(name)).collect(),
            compress: compress.iter().map(|text| stamp(text)).collect(),
            resting: false,
        }
    }

    #[test]
    fn nothing_rotated_is_nothing_to_do() {
        assert_eq!(chores(&[], 4), to_do(&[], &[]));
        assert_eq!(chores(&["00"], 4), to_do(&[], &[]));
    }

    #[test]
    fn all_but_the_newest_are_compressed_the_newest_of_them_first() {
        assert_eq!(
            chores(&["00gz", "01", "02", "02.1", "03"], 9),
            to_do(&[], &["02.1", "02", "01"])
        );
    }

    #[test]
    fn what_was_rotated_just_now_is_left_alone() {
        let resting = Chores {
            resting: true,
            ..to_do(&[], &["30"])
        };
        assert_eq!(chores(&["30", "31", "39", "40"], 9), resting);
        assert_eq!(chores(&["30", "40"], 9), to_do(&[], &["30"]));
    }

    #[test]
    fn what_is_named_for_a_time_to_come_rests_no_longer() {
        let ahead = |text: &str| Stamp::parse(text).unwrap();
        let stamps = ["20260101-000100", "99991230-220000", "99991230-220000.1"].map(ahead);
        let files = stamps.map(|stamp| Rotated::new(stamp, Form::Plain));
        let chores = decide(&files, 9, "2026-01-01T00:00:40Z".parse().unwrap());
        assert_eq!(chores.compress, [stamps[1], stamps[0]]);
        assert!(!chores.resting);
    }

    #[test]
    fn the_oldest_beyond_the_limit_go_and_are_not_compressed() {
        assert_eq!(
            chores(&["00gz", "01gz", "02", "03", "04"], 2),
            to_do(&["00gz", "01gz", "02"], &["03"])
        );
        assert_eq!(chores(&["00", "01"], 0), to_do(&["00", "01"], &[]));
    }

    #[test]
    fn a_rotation_removes_only_what_is_too_much() {
        let files = files(&["00", "00tmp", "01", "01gz", "02gz", "03tmp", "04"]);
        assert_eq!(excess(&files, 2), ["00", "01", "01gz"].map(file));
        assert_eq!(excess(&files, 4), []);
    }

    #[test]
    fn what_a_compression_left_goes() {
        // Cut short before its end: once more; between its rename and its end: the plain one goes.
        assert_eq!(
            chores(&["00", "00tmp", "01", "01gz", "02tmp", "03"], 4),
            to_do(&["00tmp", "01", "02tmp"], &["00"])
        );
    }

    #[test]
    fn two_forms_of_one_file_count_once() {
        assert_eq!(
            chores(&["00", "00gz", "01gz", "02"], 3),
            to_do(&["00"], &[])
        );
    }
}
