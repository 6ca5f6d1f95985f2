//! The configuration file and its drop-ins, each read strictly on its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::{API_VERSION, DEFAULT_FILE, Error, KIND, Problem, sections};
use crate::files;

/// One file's part of the configuration.
#[derive(Debug)]
pub(super) struct Fragment {
    /// The file.
    pub(super) path: PathBuf,
    /// Its content; null where it is empty.
    pub(super) value: Value,
}

/// Where the drop-ins of a configuration file lie.
pub(super) fn drop_in_directory(file: &Path) -> PathBuf {
    file.with_file_name("config.d")
}

/// Whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Those that only root, or the process's own user, could have written: an agent's.
    Trusted,
    /// Anybody's.
    Anybody,
}

impl From {
    fn read(self, path: &Path) -> io::Result<String> {
        let bytes = match self {
            Self::Trusted => files::read_trusted(path, files::CONFIGURATION)?,
            Self::Anybody => files::read(path, files::CONFIGURATION)?,
        };
        files::text(bytes)
    }
}

/// Reads the file and its drop-ins, in the order in which they are merged.
pub(super) fn read(path: Option<&Path>, from: From) -> Result<Vec<Fragment>, Error> {
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    let mut fragments = Vec::new();
    match from.read(file) {
        Ok(text) => fragments.push(parse(file, &text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_none() => {}
        Err(source) => {
            return Err(Error::Read {
                path: file.to_owned(),
                source,
            });
        }
    }
    for path in drop_ins(&drop_in_directory(file))? {
        match from.read(&path) {
            Ok(text) => fragments.push(parse(&path, &text)?),
            // It went away since the directory was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(fragments)
}

/// The `*.yaml` files of the directory in name order; none where there is no directory.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|e| e == "yaml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file's text: strictly for its errors, then as a value to merge.
pub(super) fn parse(path: &Path, text: &str) -> Result<Fragment, Error> {
    let failed = |source| Error::Parse {
        path: path.to_owned(),
        source,
    };
    let fragment = |value| Fragment {
        path: path.to_owned(),
        value,
    };
    let value: Value = serde_yaml::from_str(text).map_err(failed)?;
    if value.is_null() {
        return Ok(fragment(value));
    }
    let typed: sections::Fragment = serde_yaml::from_str(text).map_err(failed)?;
    let wanted = [
        ("apiVersion", typed.api_version, API_VERSION),
        ("kind", typed.kind, KIND),
    ];
    for (field, have, want) in wanted {
        if let Some(have) = have.filter(|have| have != want) {
            return Err(Error::WrongType {
                path: path.to_owned(),
                field,
                have,
                want,
            });
        }
    }
    Ok(fragment(value))
}

/// Adds to a problem the last file that has the field it is about.
pub(super) fn locate(mut problem: Problem, fragments: &[Fragment]) -> Problem {
    let top = problem.field.split(['.', '[']).next().unwrap_or_default();
    problem.file = fragments
        .iter()
        .rev()
        .find(|fragment| fragment.value.get(top).is_some())
        .map(|fragment| fragment.path.clone());
    problem
}
