//! What can be wrong with the configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the directory of drop-ins cannot be read.
    #[error("{path}: cannot read the configuration: {source}", path = path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not YAML, has an unknown field, or a value of the wrong type.
    #[error("{}: {}", position(path, source), without_position(source))]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: serde_yaml::Error,
    },
    /// A file is a configuration of something else or of another version.
    #[error("{path}: {field}: is {have:?}, must be {want:?}", path = path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// `apiVersion` or `kind`.
        field: &'static str,
        /// What the file says.
        have: String,
        /// What it must say.
        want: &'static str,
    },
    /// The files are fine one by one, but not together.
    #[error("the configuration merged from {}: {source}", names(files))]
    Merged {
        /// Every file that was read.
        files: Vec<PathBuf>,
        /// What is wrong.
        source: serde_yaml::Error,
    },
    /// Values break a rule.
    #[error("{}", lines(problems))]
    Invalid {
        /// Every problem that was found.
        problems: Vec<Problem>,
    },
    /// Changes of the files cannot be watched.
    #[error("cannot watch the configuration {path}: {source}", path = path.display())]
    Watch {
        /// The configuration file.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

/// A value that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file that has the value; `None` where no file does.
    pub file: Option<PathBuf>,
    /// The field's path, for example `nodeTaints[0].key`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of a field whose file is not known yet.
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: None,
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// `file:line:column`, as far as the parser knows it.
fn position(path: &std::path::Path, source: &serde_yaml::Error) -> String {
    match source.location() {
        Some(at) => format!("{}:{}:{}", path.display(), at.line(), at.column()),
        None => path.display().to_string(),
    }
}

/// What is wrong alone; line and column stand before it.
fn without_position(source: &serde_yaml::Error) -> String {
    let text = source.to_string();
    let end = source
        .location()
        .map(|at| format!(" at line {} column {}", at.line(), at.column()));
    match end.and_then(|end| text.strip_suffix(&end)) {
        Some(what) => what.to_owned(),
        None => text,
    }
}

fn names(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
    names.join(", ")
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
