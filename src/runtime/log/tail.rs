//! Finds where the last lines of a log begin, reading backwards from its end.

use std::io::{self, SeekFrom};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::parse;

const BLOCK_BYTES: u64 = 64 << 10;

/// The offset of the first entry of the last `count` lines. Parts do not count, only the entry that
/// ends a line does.
pub(super) async fn offset(file: &mut File, count: usize) -> io::Result<u64> {
    let end = file.metadata().await?.len();
    if count == 0 {
        return Ok(end);
    }
    let mut start = end;
    // The head of an entry whose beginning is in an earlier block.
    let mut head: Vec<u8> = Vec::new();
    let mut lines = 0;
    while start > 0 {
        let size = start.min(BLOCK_BYTES);
        start -= size;
        file.seek(SeekFrom::Start(start)).await?;
        let mut block = Vec::new();
        (&mut *file).take(size).read_to_end(&mut block).await?;
        block.append(&mut head);
        let mut line_end = block.len();
        while let Some(newline) = block[..line_end].iter().rposition(|b| *b == b'\n') {
            // What follows this newline is an entry that begins right after it.
            if ends_line(&block[newline + 1..line_end]) {
                lines += 1;
                if lines > count {
                    return Ok(start + line_end as u64 + 1);
                }
            }
            line_end = newline;
        }
        block.truncate(line_end);
        head = block;
    }
    if ends_line(&head) && lines == count {
        return Ok(head.len() as u64 + 1);
    }
    Ok(0)
}

fn ends_line(entry: &[u8]) -> bool {
    parse::entry(entry).is_some_and(|e| !e.partial)
}
