//! The members of a tar, one after another: ustar, GNU and PAX, with long names and with holes.
//!
//! Own code around the tar crate's headers, and not its archive: that one keeps a name or a PAX
//! record in memory however long it is, knows no holes in PAX, and passes over nothing by seeking.

use std::io::{self, Read};
use std::path::{Component, Path};

use tar::{EntryType, GnuExtSparseHeader, Header};

use super::error::Problem;
use super::packing::Source;
use super::pax::{Told, text};
use super::read::{Bounds, Step};

const BLOCK: u64 = 512;
/// Bytes passed on at a time.
const PIECE: u64 = 1 << 20;
/// Bytes passed over at a time.
const SKIP: u64 = 64 << 20;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of so many bytes.
    File { size: u64 },
    /// Another name of something in the archive.
    Link { target: String },
    /// Nothing that images have.
    Other,
}

/// A member; its path has no `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub path: String,
    pub kind: Kind,
}

/// A stretch of a file that has bytes in the archive; what lies between is zeros.
type Stretch = (u64, u64);

/// Reads a tar.
pub(super) struct Members<'a> {
    source: Source,
    bounds: &'a Bounds,
    step: Step<'a>,
    /// The present member's path.
    path: String,
    /// Bytes of it that were not read yet, and the padding behind them.
    left: u64,
    padding: u64,
    /// The present member's bytes, where it has holes.
    holes: Option<Holes>,
    /// Bytes that the records of the present member may still have.
    records: u64,
    /// Bytes that all members' names may still have, and holes.
    names: u64,
    zeros: u64,
    all_zeros: u64,
}

#[derive(Debug)]
struct Holes {
    stretches: std::vec::IntoIter<Stretch>,
    now: Stretch,
    at: u64,
    size: u64,
}

impl<'a> Members<'a> {
    /// The members of a source whose file has so many bytes.
    pub fn new(source: Source, packed: u64, bounds: &'a Bounds, step: Step<'a>) -> Self {
        Self {
            source,
            bounds,
            step,
            path: String::new(),
            left: 0,
            padding: 0,
            holes: None,
            records: bounds.record,
            names: bounds.names,
            zeros: bounds.zeros(packed),
            all_zeros: bounds.zeros(packed),
        }
    }

    /// The next member, past whatever of the present one was not read.
    pub fn next(&mut self) -> Result<Option<Member>, Problem> {
        let mut told = Told::default();
        self.records = self.bounds.record;
        loop {
            (self.step)()?;
            let Some(block) = self.header()? else {
                return Ok(None);
            };
            let header = Header::from_byte_slice(&block);
            let kind = header.entry_type();
            let own = header.entry_size().map_err(Problem::Tar)?;
            match kind {
                EntryType::GNULongName => told.path = Some(self.text(own, "a long name")?),
                EntryType::GNULongLink => told.link = Some(self.text(own, "a long link")?),
                EntryType::XHeader => {
                    let records = self.record(own, "a PAX record")?;
                    told.take(&records).map_err(Problem::Tar)?;
                }
                EntryType::XGlobalHeader => self.begin(own),
                _ => return self.member(header, kind, told, own).map(Some),
            }
        }
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    /// The next header that is not the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK as usize]>, Problem> {
        self.holes = None;
        while self.left > 0 {
            (self.step)()?;
            let some = self.left.min(SKIP);
            self.source.skip(some).map_err(|e| self.cut_short(e))?;
            self.left -= some;
        }
        // What pads the last member may be missing.
        match self.source.skip(std::mem::take(&mut self.padding)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(Problem::Tar)?,
        }
        let mut block = [0; BLOCK as usize];
        let mut have = 0;
        while have < block.len() {
            match self.source.read(&mut block[have..]).map_err(Problem::Tar)? {
                0 if have == 0 => return Ok(None),
                0 => return Err(Problem::Tar(io::ErrorKind::UnexpectedEof.into())),
                read => have += read,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let told = Header::from_byte_slice(&block)
            .cksum()
            .map_err(Problem::Tar)?;
        let sum = |byte: &u8| u32::from(*byte);
        let blanks = 8 * u32::from(b' ');
        let found: u32 = block[..148].iter().chain(&block[156..]).map(sum).sum();
        if found + blanks != told {
            let wrong = "a header's checksum is wrong";
            return Err(Problem::Tar(io::Error::other(wrong)));
        }
        Ok(Some(block))
    }

    fn cut_short(&self, error: io::Error) -> Problem {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::CutShort {
                path: self.path.clone(),
            },
            _ => Problem::Tar(error),
        }
    }

    /// The next piece of the present member, of which so much is left; empty at its end.
    pub fn piece(&mut self, left: u64) -> Result<Vec<u8>, Problem> {
        (self.step)()?;
        let mut data = vec![0; usize::try_from(left.min(PIECE)).unwrap_or_default()];
        self.read_exact(&mut data).map_err(|e| self.cut_short(e))?;
        Ok(data)
    }

    /// A record of so many bytes, which is kept in memory: all those of one member are bounded together.
    fn record(&mut self, size: u64, what: &'static str) -> Result<Vec<u8>, Problem> {
        self.records = self.records.checked_sub(size).ok_or_else(|| {
            let before = self.bounds.record - self.records;
            let bytes = size.saturating_add(before);
            Problem::Long { what, bytes }
        })?;
        self.begin(size);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.read_exact(&mut bytes).map_err(Problem::Tar)?;
        Ok(bytes)
    }

    fn text(&mut self, size: u64, what: &'static str) -> Result<Vec<u8>, Problem> {
        let mut text = self.record(size, what)?;
        let end = text.iter().position(|byte| *byte == 0);
        text.truncate(end.unwrap_or(text.len()));
        Ok(text)
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        told: Told,
        own: u64,
    ) -> Result<Member, Problem> {
        let name = told.real_path.or(told.path);
        let name = name.unwrap_or_else(|| header.path_bytes().into());
        let link = told
            .link
            .or_else(|| header.link_name_bytes().map(Into::into));
        let has_bytes = has_bytes(header, &name);
        let size = told.size.unwrap_or(own);
        let path = text(&name).and_then(|name| plain(Path::new(name)));
        let target = link.as_deref().and_then(text);
        let count = |text: Option<&str>| text.map_or(0, str::len) as u64 + 64;
        let names = count(path.as_deref()) + count(target);
        self.names = self
            .names
            .checked_sub(names)
            .ok_or(Problem::Members(self.bounds.names))?;
        self.begin(if has_bytes { size } else { 0 });
        self.path = path.clone().unwrap_or_default();
        let Some(path) = path else {
            return Ok(Member {
                path: String::new(),
                kind: Kind::Other,
            });
        };
        let kind = if kind == EntryType::GNUSparse {
            self.gnu_holes(header)?
        } else if let (Some(real), true) = (told.real_size, has_bytes) {
            let map = match told.map_in_front {
                true => self.map_in_front()?,
                false => told.map,
            };
            self.holes(&map, real)?
        } else if has_bytes && (kind.is_file() || kind.is_contiguous()) {
            Kind::File { size }
        } else {
            let target = target.and_then(|target| {
                let beside = Path::new(&path).parent().unwrap_or(Path::new(""));
                match kind {
                    EntryType::Symlink => plain(&beside.join(target)),
                    EntryType::Link => plain(Path::new(target)),
                    _ => None,
                }
            });
            target.map_or(Kind::Other, |target| Kind::Link { target })
        };
        Ok(Member { path, kind })
    }

    /// Holes as old GNU tar writes them: in the header, and in blocks behind it.
    fn gnu_holes(&mut self, header: &Header) -> Result<Kind, Problem> {
        let Some(gnu) = header.as_gnu() else {
            return Ok(Kind::Other);
        };
        let mut map = Vec::new();
        let mut extended = gnu.is_extended();
        let mut add = |entries: &[tar::GnuSparseHeader]| {
            for entry in entries.iter().filter(|entry| !entry.is_empty()) {
                map.push(entry.offset()?);
                map.push(entry.length()?);
            }
            Ok::<_, io::Error>(map.len() as u64)
        };
        add(&gnu.sparse).map_err(Problem::Tar)?;
        while extended {
            let mut block = GnuExtSparseHeader::new();
            let bytes = block.as_mut_bytes();
            self.source.read_exact(bytes).map_err(Problem::Tar)?;
            let bytes = 8 * add(block.sparse()).map_err(Problem::Tar)?;
            if bytes > self.bounds.record {
                let what = "a list of holes";
                return Err(Problem::Long { what, bytes });
            }
            extended = block.is_extended();
        }
        let real = gnu.real_size().map_err(Problem::Tar)?;
        self.holes(&map, real)
    }

    /// The map of PAX 1.0: decimal numbers in lines, in whole blocks before the file's bytes.
    fn map_in_front(&mut self) -> Result<Vec<u64>, Problem> {
        let mut numbers = Vec::new();
        let mut line = String::new();
        let mut read = 0;
        loop {
            let mut block = [0; BLOCK as usize];
            self.read_exact(&mut block).map_err(Problem::Tar)?;
            read += BLOCK;
            if read > self.bounds.record {
                let what = "a list of holes";
                return Err(Problem::Long { what, bytes: read });
            }
            for byte in block {
                if byte != b'\n' {
                    line.push(char::from(byte));
                    continue;
                }
                let number = line.parse::<u64>().map_err(io::Error::other);
                numbers.push(number.map_err(Problem::Tar)?);
                line.clear();
                let wanted = numbers[0].saturating_mul(2).saturating_add(1);
                if numbers.len() as u64 == wanted {
                    numbers.remove(0);
                    return Ok(numbers);
                }
            }
        }
    }

    fn holes(&mut self, map: &[u64], size: u64) -> Result<Kind, Problem> {
        let wrong = || Problem::Tar(io::Error::other("a list of holes is wrong"));
        let (pairs, rest) = map.as_chunks::<2>();
        let mut end = 0;
        let mut bytes = 0;
        for [offset, length] in pairs {
            let next = offset.checked_add(*length).ok_or_else(wrong)?;
            if *offset < end || next > size {
                return Err(wrong());
            }
            (end, bytes) = (next, bytes + length);
        }
        if !rest.is_empty() || bytes != self.left {
            return Err(wrong());
        }
        self.zeros = self
            .zeros
            .checked_sub(size - bytes)
            .ok_or(Problem::Zeros(self.all_zeros))?;
        let stretches: Vec<Stretch> = pairs.iter().map(|[o, l]| (*o, *l)).collect();
        self.holes = Some(Holes {
            stretches: stretches.into_iter(),
            now: (0, 0),
            at: 0,
            size,
        });
        Ok(Kind::File { size })
    }
}

/// The present member's bytes.
impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(holes) = &mut self.holes else {
            let wanted = buffer.len() as u64;
            let wanted = usize::try_from(wanted.min(self.left)).unwrap_or_default();
            let read = self.source.read(&mut buffer[..wanted])?;
            self.left -= read as u64;
            return Ok(read);
        };
        while holes.at >= holes.now.0 + holes.now.1 && holes.at < holes.size {
            let end = (holes.size, 0);
            holes.now = holes.stretches.next().unwrap_or(end);
            if holes.now == end {
                break;
            }
        }
        let (offset, length) = holes.now;
        let is_hole = holes.at < offset;
        let until = if is_hole { offset } else { offset + length };
        let room = (until - holes.at).min(buffer.len() as u64);
        let room = usize::try_from(room).unwrap_or_default();
        let read = if is_hole {
            buffer[..room].fill(0);
            room
        } else {
            let read = self.source.read(&mut buffer[..room])?;
            self.left -= read as u64;
            read
        };
        holes.at += read as u64;
        Ok(read)
    }
}

/// Whether bytes follow a header: none do for what is no file, whatever size it says, as Go's
/// `archive/tar` (`isHeaderOnly`) has it. In old tars a directory is a file whose name says so.
fn has_bytes(header: &Header, name: &[u8]) -> bool {
    match header.as_old().linkflag {
        [b'1'..=b'6'] => false,
        [0] => !name.ends_with(b"/"),
        _ => true,
    }
}

/// A path without `.` and `..`; none for one that leads out of the archive.
pub(super) fn plain(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}
