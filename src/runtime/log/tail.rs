//! Finds where the last lines of a log begin, going backwards through its files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::parse;
use super::pieces::{Input, Piece};
use crate::blocking::Progress;

const BLOCK_BYTES: u64 = 64 << 10;
/// So many bytes of an entry say whether it ends a line; no more are held of a long one.
const HEAD_BYTES: usize = 2 * parse::MAX_PREFIX_BYTES;

/// What was found in one file.
enum Found {
    /// The beginning of the wanted lines, where the file now stands.
    Beginning,
    /// So many lines, and they are all wanted.
    Lines(usize),
}

/// Leaves of a log's files, oldest first, what the last `count` lines are in, and sets the first of
/// them to where those begin. Parts do not count, only the entry that ends a line does.
///
/// # Errors
/// When a file cannot be read; and when it was asked to stop.
pub(super) fn cut(
    files: &mut VecDeque<Piece>,
    count: usize,
    progress: &Progress,
) -> io::Result<()> {
    if count == 0 {
        files.drain(..files.len().saturating_sub(1));
        return match files.back_mut() {
            Some(last) => go_to_end(last),
            None => Ok(()),
        };
    }
    let mut wanted = count;
    for index in (0..files.len()).rev() {
        match find(&mut files[index], wanted, progress)? {
            Found::Beginning => {
                files.drain(..index);
                return Ok(());
            }
            Found::Lines(lines) => wanted -= lines,
        }
    }
    Ok(())
}

fn go_to_end(piece: &mut Piece) -> io::Result<()> {
    match &mut piece.input {
        Input::Plain(file) => file.seek(SeekFrom::End(0)).map(drop),
        Input::Gzip { ended, .. } => {
            *ended = true;
            Ok(())
        }
    }
}

fn find(piece: &mut Piece, wanted: usize, progress: &Progress) -> io::Result<Found> {
    if let Input::Plain(file) = &mut piece.input {
        let found = offset(file, wanted, progress)?;
        let start = match found {
            (Some(offset), _) => offset,
            (None, _) => 0,
        };
        file.seek(SeekFrom::Start(start))?;
        return Ok(match found {
            (Some(_), _) => Found::Beginning,
            (None, lines) => Found::Lines(lines),
        });
    }
    let lines = count_lines(piece, progress)?;
    piece.rewind()?;
    if lines <= wanted {
        return Ok(Found::Lines(lines));
    }
    piece.skip = lines - wanted;
    Ok(Found::Beginning)
}

/// Counts the lines of a file that can be read forwards only.
fn count_lines(piece: &mut Piece, progress: &Progress) -> io::Result<usize> {
    let mut lines = 0;
    let mut rest = Vec::new();
    while piece.read(&mut rest)? > 0 {
        progress.step()?;
        let Some(end) = rest.iter().rposition(|b| *b == b'\n') else {
            rest.truncate(HEAD_BYTES);
            continue;
        };
        let entries = rest[..end].split(|b| *b == b'\n');
        lines += entries.filter(|entry| ends_line(entry)).count();
        rest.drain(..=end);
    }
    Ok(lines)
}

/// The offset behind the entry that ends the line before the last `count`, and how many lines end
/// after it; no offset when there is no such entry.
fn offset(file: &mut File, count: usize, progress: &Progress) -> io::Result<(Option<u64>, usize)> {
    let mut start = file.metadata()?.len();
    // The head of an entry whose beginning is in an earlier block, and where the entry ends.
    let mut head: Vec<u8> = Vec::new();
    let mut end = start;
    let mut lines = 0;
    while start > 0 {
        progress.step()?;
        let size = start.min(BLOCK_BYTES);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        (&mut *file).take(size).read_to_end(&mut block)?;
        block.append(&mut head);
        let mut line_end = block.len();
        while let Some(newline) = block[..line_end].iter().rposition(|b| *b == b'\n') {
            // What follows this newline is an entry that begins right after it.
            if ends_line(&block[newline + 1..line_end]) {
                if lines == count {
                    return Ok((Some(end + 1), lines));
                }
                lines += 1;
            }
            line_end = newline;
            end = start + newline as u64;
        }
        block.truncate(line_end.min(HEAD_BYTES));
        head = block;
    }
    if ends_line(&head) {
        if lines == count {
            return Ok((Some(end + 1), lines));
        }
        lines += 1;
    }
    Ok((None, lines))
}

pub(super) fn ends_line(entry: &[u8]) -> bool {
    parse::entry(entry).is_some_and(|e| !e.partial)
}
