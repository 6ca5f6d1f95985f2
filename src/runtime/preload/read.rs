//! Reads an archive twice: [`survey`] finds what is in it and keeps the JSON documents, [`deliver`]
//! passes on piece by piece, with their digests, the files that turned out to be needed. Blocks, so
//! it has a thread of its own.
//!
//! Everything that an archive can make large is bounded by [`Bounds`]: what is kept in memory, and
//! what a few bytes can stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::Problem;
use super::members::{Kind, Members};
use super::packing::{Packing, Source};
use crate::files::{self, Links};

/// As much of a file tells what it is.
const HEAD: u64 = 4 << 10;
/// Links lead to links no further.
const LINKS: usize = 40;

/// How large what an archive holds may be, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// One JSON document; that of an image is a few thousand.
    pub document: u64,
    /// All that are no larger than [`Self::small`], and all that are.
    pub documents: u64,
    pub small: u64,
    /// All records in front of one member, such as long names; Go's own bound for one.
    pub record: u64,
    /// All names, each counted with 64 more.
    pub names: u64,
    /// All holes of files may have this, and as many times the archive's size as below.
    pub zeros: u64,
    /// A packed archive may unpack to this, and so many times its size.
    pub unpacked: u64,
    pub times: u64,
}

impl Bounds {
    pub const USUAL: Self = Self {
        document: 4 << 20,
        documents: 16 << 20,
        small: 256 << 10,
        record: 1 << 20,
        names: 8 << 20,
        zeros: 1 << 30,
        unpacked: 8 << 30,
        times: 100,
    };

    /// What the holes of an archive of so many bytes may have.
    pub fn zeros(&self, packed: u64) -> u64 {
        packed.saturating_mul(self.times).saturating_add(self.zeros)
    }

    /// What an archive of so many bytes may unpack to.
    pub fn unpacked(&self, packed: u64) -> u64 {
        packed
            .saturating_mul(self.times)
            .saturating_add(self.unpacked)
    }
}

/// Says that reading goes on; an error says that it is to end.
pub(super) type Step<'a> = &'a dyn Fn() -> Result<(), Problem>;

/// A file in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Which member it is, from 1: a later one of the same path stands for it.
    pub number: usize,
    pub size: u64,
    pub packing: Packing,
}

/// What is in an archive, by path.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub files: BTreeMap<String, Found>,
    /// Those files that are JSON, and are not too large.
    pub documents: BTreeMap<String, Vec<u8>>,
    pub links: BTreeMap<String, String>,
}

impl Survey {
    /// Whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(self.resolved(path))
    }

    /// A file that is needed.
    pub fn file(&self, path: &str) -> Result<Found, Problem> {
        let found = self.files.get(self.resolved(path)).copied();
        found.ok_or_else(|| Problem::Missing {
            what: path.to_owned(),
        })
    }

    /// A document that is needed.
    pub fn json(&self, path: &str) -> Result<&[u8], Problem> {
        self.file(path)?;
        let document = self.documents.get(self.resolved(path));
        document.map(Vec::as_slice).ok_or_else(|| Problem::NotJson {
            path: path.to_owned(),
        })
    }

    /// What a path stands for: a layer that several images share is saved once, and linked to.
    fn resolved<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path;
        for _ in 0..LINKS {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }

    /// The path of a file by its number.
    pub fn path_of(&self, number: usize) -> String {
        let mut files = self.files.iter();
        files
            .find(|(_, found)| found.number == number)
            .map_or_else(String::new, |(path, _)| path.clone())
    }
}

/// What is passed on of the files that are wanted, in the archive's order.
#[derive(Debug)]
pub(super) enum Piece {
    /// A file begins, the member of that number.
    Begin { number: usize, size: u64 },
    /// It goes on.
    Data(Vec<u8>),
    /// It ends.
    End { digest: String },
}

/// Opens an archive.
pub(super) fn open(path: &Path) -> Result<File, Problem> {
    files::open(path, Links::Follow).map_err(Problem::Read)
}

fn members<'a>(
    file: &File,
    path: &Path,
    bounds: &'a Bounds,
    step: Step<'a>,
) -> Result<Members<'a>, Problem> {
    let file = file.try_clone().map_err(Problem::Read)?;
    let packed = file.metadata().map_err(Problem::Read)?.len();
    let source = Source::open(file, path, bounds)?;
    Ok(Members::new(source, packed, bounds, step))
}

/// Finds what is in an archive.
pub(super) fn survey(
    file: &File,
    path: &Path,
    bounds: &Bounds,
    step: Step<'_>,
) -> Result<Survey, Problem> {
    let mut members = members(file, path, bounds, step)?;
    let mut survey = Survey::default();
    let mut kept = [0; 2];
    let mut number = 0;
    while let Some(member) = members.next()? {
        number += 1;
        let path = member.path;
        let size = match member.kind {
            Kind::File { size } => size,
            Kind::Link { target } => {
                survey.files.remove(&path);
                survey.documents.remove(&path);
                survey.links.insert(path, target);
                continue;
            }
            Kind::Other => continue,
        };
        let mut bytes = members.piece(size.min(HEAD))?;
        let found = Found {
            number,
            size,
            packing: Packing::of(&bytes),
        };
        survey.links.remove(&path);
        survey.documents.remove(&path);
        survey.files.insert(path.clone(), found);
        let all = &mut kept[usize::from(size > bounds.small)];
        if is_json(&bytes) && size <= bounds.document && *all + size <= bounds.documents {
            *all += size;
            while (bytes.len() as u64) < size {
                bytes.extend(members.piece(size - bytes.len() as u64)?);
            }
            survey.documents.insert(path, bytes);
        }
    }
    Ok(survey)
}

/// Whether bytes may begin a JSON document of an image.
fn is_json(head: &[u8]) -> bool {
    matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Passes on the members of these numbers.
pub(super) fn deliver(
    file: &File,
    path: &Path,
    bounds: &Bounds,
    wanted: &BTreeSet<usize>,
    step: Step<'_>,
    pass_on: &mut dyn FnMut(Piece) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut members = members(file, path, bounds, step)?;
    let mut number = 0;
    let mut missing = wanted.len();
    while missing > 0 {
        let Some(member) = members.next()? else {
            let changed = io::Error::other("it changed while it was read");
            return Err(Problem::Read(changed));
        };
        number += 1;
        let Kind::File { size } = member.kind else {
            continue;
        };
        if !wanted.contains(&number) {
            continue;
        }
        missing -= 1;
        pass_on(Piece::Begin { number, size })?;
        let mut digest = Sha256::new();
        let mut left = size;
        while left > 0 {
            let data = members.piece(left)?;
            left -= data.len() as u64;
            digest.update(&data);
            pass_on(Piece::Data(data))?;
        }
        let digest = digest_text(digest);
        pass_on(Piece::End { digest })?;
    }
    Ok(())
}

/// `sha256:` and the digest in hexadecimal.
pub(super) fn digest_text(digest: Sha256) -> String {
    let hex: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
