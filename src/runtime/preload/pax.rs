//! What the records in front of a tar's header say of its member: GNU's long names, and PAX.

use std::io;

/// What records in front of a header say of the member.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    /// The path of a file with holes, whose other path is made up.
    pub real_path: Option<Vec<u8>>,
    /// Its size.
    pub real_size: Option<u64>,
    /// Where it has bytes: offsets and lengths in turn.
    pub map: Vec<u64>,
    /// The map stands before the bytes.
    pub map_in_front: bool,
}

impl Told {
    /// Takes in PAX records, `LENGTH KEY=VALUE` and a line's end, each with its own length.
    pub fn take(&mut self, mut records: &[u8]) -> io::Result<()> {
        let wrong = || io::Error::other("a PAX record is wrong");
        let number = |value: &[u8]| text(value).and_then(|v| v.parse().ok()).ok_or_else(wrong);
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ').ok_or_else(wrong)?;
            let length = text(&records[..space]).and_then(|l| l.parse::<usize>().ok());
            let length = length.filter(|l| *l > space + 1 && *l <= records.len());
            let (record, rest) = records.split_at(length.ok_or_else(wrong)?);
            records = rest;
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.into()),
                b"GNU.sparse.name" => self.real_path = Some(value.into()),
                b"linkpath" => self.link = Some(value.into()),
                b"size" => self.size = Some(number(value)?),
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                    self.real_size = Some(number(value)?);
                }
                b"GNU.sparse.major" => self.map_in_front = value == b"1",
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.map.push(number(value)?),
                b"GNU.sparse.map" => {
                    let numbers = value.split(|b| *b == b',').filter(|n| !n.is_empty());
                    self.map = numbers.map(number).collect::<io::Result<_>>()?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Bytes as text, where they are.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
