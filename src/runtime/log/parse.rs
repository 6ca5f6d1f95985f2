//! The CRI log format: `TIME STREAM TAG TEXT`, one entry a line, as the runtime writes it.
//!
//! Pure: bytes in, lines out. The format is that of kubelet's pkg/kubelet/kuberuntime/logs; a line of
//! output longer than the runtime's buffer comes in parts tagged `P`, the last one tagged `F`.

use jiff::Timestamp;
use prost::bytes::Bytes;

/// No entry has more than this in front of its text.
pub(in crate::runtime) const MAX_PREFIX_BYTES: usize = 48;

/// Parts are joined up to here; a longer line is handed out in pieces.
const MAX_JOINED_BYTES: usize = 1 << 20;

/// Which of a container's two outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the runtime read it (its first part).
    pub time: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// Its bytes, with the newline; a piece of a line too long to be joined, and what a container
    /// left unfinished, has none.
    pub text: Bytes,
}

impl Line {
    /// Appends the line as `kubectl logs --timestamps` prints it: time, space, text.
    pub fn render_with_time(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:.9} ", self.time).as_bytes());
        out.extend_from_slice(&self.text);
    }
}

/// One entry of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub time: Timestamp,
    pub source: Source,
    /// Whether the line goes on in the next entry of its source.
    pub partial: bool,
    pub text: &'a [u8],
}

/// Reads one line of the file without its newline; `None` for what is no entry.
pub(super) fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let source = match parts.next()? {
        b"stdout" => Source::Stdout,
        b"stderr" => Source::Stderr,
        _ => return None,
    };
    // Tags are separated by colons, the first says whether the line is whole.
    let partial = match parts.next()?.split(|b| *b == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Entry {
        time,
        source,
        partial,
        text: parts.next().unwrap_or_default(),
    })
}

/// Whether bytes of the file are the end of one of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Here,
    Later,
}

/// Makes entries of lines of the file that may come in pieces, because they are too long to be held.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// The line whose end is still to come: what its beginning said, if it was an entry's.
    begun: Option<Option<(Timestamp, Source, bool)>>,
}

impl Cutter {
    /// The entry of a line or of a piece of it; every piece but the last is a part.
    pub fn cut<'a>(&mut self, bytes: &'a [u8], ends: Ends) -> Option<Entry<'a>> {
        let entry = match self.begun.take() {
            None => entry(bytes),
            Some(head) => head.map(|(time, source, partial)| Entry {
                time,
                source,
                partial,
                text: bytes,
            }),
        };
        if ends == Ends::Here {
            return entry;
        }
        self.begun = Some(entry.as_ref().map(|e| (e.time, e.source, e.partial)));
        entry.map(|entry| Entry {
            partial: true,
            ..entry
        })
    }
}

/// Puts the parts of each source's lines together.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    stdout: Option<(Timestamp, Vec<u8>)>,
    stderr: Option<(Timestamp, Vec<u8>)>,
}

impl Joiner {
    fn held(&mut self, source: Source) -> &mut Option<(Timestamp, Vec<u8>)> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    /// Takes one entry; gives the line it completes.
    pub fn push(&mut self, entry: &Entry<'_>) -> Option<Line> {
        let held = self.held(entry.source);
        let (time, mut text) = held.take().unwrap_or((entry.time, Vec::new()));
        text.extend_from_slice(entry.text);
        if entry.partial && text.len() < MAX_JOINED_BYTES {
            *held = Some((time, text));
            return None;
        }
        if !entry.partial {
            text.push(b'\n');
        }
        Some(Line {
            time,
            source: entry.source,
            text: text.into(),
        })
    }

    /// What was begun and not completed.
    pub fn finish(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        for source in [Source::Stdout, Source::Stderr] {
            if let Some((time, text)) = self.held(source).take() {
                lines.push(Line {
                    time,
                    source,
                    text: text.into(),
                });
            }
        }
        lines
    }
}

/// The text of the last `count` lines of a piece of a log.
pub(in crate::runtime) fn last_lines(raw: &[u8], count: usize) -> Vec<u8> {
    let mut joiner = Joiner::default();
    let mut lines: Vec<Line> = raw
        .split(|b| *b == b'\n')
        .filter_map(entry)
        .filter_map(|e| joiner.push(&e))
        .collect();
    lines.extend(joiner.finish());
    let first = lines.len().saturating_sub(count);
    lines[first..]
        .iter()
        .flat_map(|l| l.text.to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2016-10-06T00:17:09.669794202Z";

    fn text(raw: &str) -> String {
        String::from_utf8(last_lines(raw.as_bytes(), usize::MAX)).unwrap()
    }

    #[test]
    fn entries_are_read_and_anything_else_is_not() {
        let line = format!("{T} stdout F log content 1");
        assert_eq!(
            entry(line.as_bytes()),
            Some(Entry {
                time: T.parse().unwrap(),
                source: Source::Stdout,
                partial: false,
                text: b"log content 1",
            })
        );
        // Entries as containerd writes them: with an offset, with further tags, and empty.
        assert!(entry(b"2026-11-21T09:16:15.1+01:00 stderr P:x a").is_some_and(|e| e.partial));
        assert!(entry(format!("{T} stdout F ").as_bytes()).is_some_and(|e| e.text.is_empty()));
        assert!(entry(format!("{T} stdout F").as_bytes()).is_some_and(|e| e.text.is_empty()));
        for bad in ["", "x stdout F a", "stdout F a"] {
            assert_eq!(entry(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(entry(format!("{T} stdin F a").as_bytes()), None);
        assert_eq!(entry(format!("{T} stdout X a").as_bytes()), None);
        assert_eq!(entry(b"\xff\xfe stdout F a"), None);
    }

    #[test]
    fn parts_are_joined_within_their_source() {
        let raw = format!(
            "{T} stdout P one \n{T} stderr P other \n{T} stdout F two\n{T} stderr F source\n"
        );
        assert_eq!(text(&raw), "one two\nother source\n");
        assert_eq!(text(&format!("{T} stdout P unfinished\n")), "unfinished");
    }

    #[test]
    fn time_is_printed_with_all_its_digits() {
        let mut out = Vec::new();
        let line = Line {
            time: "2016-10-06T00:17:09.5Z".parse().unwrap(),
            source: Source::Stdout,
            text: Bytes::from_static(b"a\n"),
        };
        line.render_with_time(&mut out);
        assert_eq!(out, b"2016-10-06T00:17:09.500000000Z a\n");
    }
}
