//! One manifest file's content: read with its limits, and admitted.
//!
//! Text is not kept. Whatever cannot be read at all is one refusal of the whole file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::reach::Reach;
use super::walk::{Found, Stamp, Trust};
use crate::api::{self, Admitted, ObjectRef, Origin};
use crate::blocking::Progress;
use crate::files;

/// The largest manifest that is read, in bytes.
const LIMIT: u64 = api::MAX_FILE_BYTES;
/// From so many files on several threads read them.
const MANY: usize = 500;
/// The most threads that read.
const WORKERS: usize = 4;

/// A document that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// Where it stands.
    pub(super) origin: Origin,
    /// Which object it is, as far as it could be read.
    pub(super) object: Option<ObjectRef>,
    /// A line an error.
    pub(super) errors: Vec<String>,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    /// Its objects, in their order.
    pub(super) admitted: Vec<Admitted>,
    /// Its documents that were refused, in their order.
    pub(super) refused: Vec<Rejection>,
}

impl Reading {
    /// Whether any of its objects says that its data may not change.
    pub(super) fn says_immutable(&self) -> bool {
        self.admitted
            .iter()
            .any(|admitted| admitted.object.is_immutable())
    }
}

/// A reading with the version of the file it is of; no version where it should be tried again.
pub(super) type Versioned = (Reading, Option<Stamp>);

/// Readings by path; `None` for files that went away meanwhile.
pub(super) type Readings = BTreeMap<PathBuf, Option<Versioned>>;

/// Reads many files on several cores. Few are not worth it: the result is empty, and each is read
/// when its turn comes.
pub(super) fn read_ahead(
    files: &BTreeMap<PathBuf, Found>,
    trust: Trust,
    reach: &Reach,
) -> Readings {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if files.len() < MANY || cores < 2 {
        return Readings::new();
    }
    let files: Vec<_> = files.iter().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut readings = Vec::new();
        while let Some((path, found)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            readings.push((path.to_path_buf(), read(path, found, trust, reach)));
        }
        readings
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(WORKERS)).map(|_| scope.spawn(work)).collect();
        // What a thread that failed did not read is read when its turn comes.
        let done = workers.into_iter().filter_map(|worker| worker.join().ok());
        done.flatten().collect()
    })
}

/// Reads a file that was found; `None` where it went away meanwhile.
pub(super) fn read(path: &Path, found: &Found, trust: Trust, reach: &Reach) -> Option<Versioned> {
    let stamp = found.stamp.as_ref().ok().copied();
    if let Err(why) = &found.stamp {
        return Some((refuse(path, why), None));
    }
    if let Some(why) = &found.distrust {
        return Some((refuse(path, why), stamp));
    }
    let elsewhere = stamp.is_some_and(|stamp| reach.is_elsewhere(stamp.device()));
    let bytes = if found.linked || elsewhere {
        let answer = reach.ask(path, move |path, progress| Ok(bytes(path, trust, progress)));
        answer.unwrap_or_else(|error| Err(error.into()))
    } else {
        bytes(path, trust, &Progress::default())
    };
    match bytes {
        Ok((text, stamp)) => Some((admit(path, &text), Some(stamp))),
        Err(Unread::Refused(why, stamp)) => Some((refuse(path, &why), Some(stamp))),
        Err(Unread::Failed(e)) if e.kind() == io::ErrorKind::NotFound && !found.linked => None,
        Err(Unread::Failed(error)) => Some((refuse(path, &error.to_string()), None)),
    }
}

enum Unread {
    Failed(io::Error),
    Refused(String, Stamp),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A file each block of which is a step.
struct Steps<'a> {
    file: File,
    progress: &'a Progress,
}

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.progress.step()?;
        self.file.read(buffer)
    }
}

fn bytes(path: &Path, trust: Trust, progress: &Progress) -> Result<(Vec<u8>, Stamp), Unread> {
    // What was trusted when it was listed may be another file by now: what is opened counts.
    let held = trust.hold(path)?;
    let file = files::open_found(&held.found)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut file = Steps { file, progress };
    if let Some(why) = held.distrust {
        // Looked at again at each scan: it is none of the file's own.
        let error = io::Error::new(io::ErrorKind::PermissionDenied, why);
        return Err(Unread::Failed(error));
    }
    match files::read_all(&mut file, LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let why = format!(
                "it is larger than {} MiB, the most that is read",
                LIMIT >> 20
            );
            Err(Unread::Refused(why, stamp))
        }
        text => Ok((text?, stamp)),
    }
}

fn admit(path: &Path, text: &[u8]) -> Reading {
    let file = path.to_string_lossy();
    if let Err(error) = std::str::from_utf8(text) {
        let before = &text[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let mut reading = refuse(path, "");
        reading.refused[0].errors = vec![format!("{file}:{line}: it is not UTF-8 text")];
        return reading;
    }
    // A defect in decoding must cost one file, not the agent.
    let Ok(results) = panic::catch_unwind(|| api::admit(&file, text)) else {
        return refuse(
            path,
            "setlet failed to decode it, which is a defect of setlet",
        );
    };
    let mut reading = Reading::default();
    for result in results {
        match result {
            Ok(admitted) => reading.admitted.push(admitted),
            Err(rejected) => reading.refused.push(Rejection {
                errors: rejected.lines().collect(),
                origin: rejected.origin,
                object: rejected.object,
            }),
        }
    }
    reading
}

/// Refuses a file as a whole.
fn refuse(path: &Path, why: &str) -> Reading {
    let file = path.to_string_lossy().into_owned();
    Reading {
        admitted: Vec::new(),
        refused: vec![Rejection {
            errors: vec![format!("{file}: {why}")],
            origin: Origin {
                file,
                document: 1,
                line: 1,
            },
            object: None,
        }],
    }
}
