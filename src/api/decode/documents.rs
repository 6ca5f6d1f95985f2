//! A file's text into documents, so that a broken one is refused alone.
//!
//! Lines that begin with `---` separate YAML documents wherever they stand (no value may contain
//! one), so the text is cut there first and each part is parsed by itself.
//! Differs: kube-apiserver reads the first document only; a file's documents are all taken.

use std::ops::ControlFlow;

use super::tree::Tree;
use super::{json, yaml};
use crate::api::Position;

/// A document: its number in the file and its line, both from 1, and its tree or what is wrong.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) number: usize,
    pub(crate) line: usize,
    pub(crate) tree: Result<Tree, (String, Position)>,
}

/// Takes every document of the file that is not empty, in order, for as long as `take` goes on. Each
/// is read when the one before it is done with, so that one tree at a time is in memory.
pub(crate) fn each(
    file: &str,
    bytes: &[u8],
    take: &mut dyn FnMut(Document) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|b| *b == b'\n').count();
            let column = before.rsplit(|b| *b == b'\n').next().map_or(0, <[u8]>::len) + 1;
            let wrong = (
                "the text is not UTF-8".to_owned(),
                Position { line, column },
            );
            return take(Document {
                number: 1,
                line,
                tree: Err(wrong),
            });
        }
    };
    if file.ends_with(".json") {
        if text.trim().is_empty() {
            return ControlFlow::Continue(());
        }
        let tree = json::parse(text).map_err(|error| (error.message, error.position));
        let line = tree.as_ref().map_or(1, |tree| tree.position.line);
        return take(Document {
            number: 1,
            line,
            tree,
        });
    }
    let mut number = 0;
    parts(text, &mut |part| {
        read(&part, &mut |line, tree| {
            number += 1;
            take(Document { number, line, tree })
        })
    })
}

/// A part of the text, the line it begins at, and the `%YAML` version it claims.
struct Part<'a> {
    text: &'a str,
    line: usize,
    version: Option<(&'a str, usize)>,
}

/// Cuts the text before each `---` line; directives stay with the document they precede.
fn parts<'a>(text: &'a str, take: &mut dyn FnMut(Part<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
    let (mut start, mut line_of_start, mut at) = (0, 1, 0);
    let mut content = false;
    let mut version = None;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && content {
            take(Part {
                text: &text[start..at],
                line: line_of_start,
                version,
            })?;
            (start, line_of_start, version) = (at, index + 1, None);
        }
        if let Some(directive) = line.strip_prefix("%YAML").filter(|_| !content) {
            version = Some((directive.trim(), index + 1));
        } else if marker || !(line.trim().is_empty() || line.starts_with(['#', '%'])) {
            content = true;
        }
        at += line.len();
    }
    take(Part {
        text: &text[start..],
        line: line_of_start,
        version,
    })
}

/// Gives every document of a part, with its line, to `take`.
fn read(
    part: &Part<'_>,
    take: &mut dyn FnMut(usize, Result<Tree, (String, Position)>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if let Some((version, line)) = part.version.filter(|(version, _)| *version != "1.1") {
        let message = format!("%YAML {version} is not understood; use 1.1, or leave the line out");
        return take(line, Err((message, Position { line, column: 1 })));
    }
    if let Some((character, position)) = unprintable(part) {
        let message = format!(
            "the character {character:?} is not allowed in YAML; escape it in double quotes"
        );
        return take(part.line, Err((message, position)));
    }
    yaml::parse(part.text, part.line, &mut |parsed| match parsed {
        Ok(tree) => take(tree.position.line, Ok(tree)),
        Err(error) => take(part.line, Err((error.message, error.position))),
    })
}

/// The first character that YAML does not allow, and where it is.
fn unprintable(part: &Part<'_>) -> Option<(char, Position)> {
    let suspicious = |byte: u8| (byte < 0x20 && !b"\t\n\r".contains(&byte)) || byte >= 0x7f;
    if !part.text.bytes().any(suspicious) {
        return None;
    }
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' => true,
        other => other >= '\u{10000}',
    };
    for (index, line) in part.text.split('\n').enumerate() {
        if let Some((column, character)) = line.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            let position = Position {
                line: part.line + index,
                column: column + 1,
            };
            return Some((character, position));
        }
    }
    None
}
