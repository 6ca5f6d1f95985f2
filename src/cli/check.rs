//! `setlet check FILE…`: admits manifests as the agent would, without an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

use super::Outcome;
use super::output::{Format, document};
use crate::api::{self, Admitted, Condition, Object, ObjectKey, ObjectRef, Rejected};
use crate::files;
use crate::plan::order;

/// The most bytes of one file, as the agent reads them.
const MOST: u64 = api::MAX_FILE_BYTES;

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, directories, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print as json
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<CheckFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// JSON
    Json,
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    objects: Vec<String>,
    errors: Vec<Problem>,
    unread: Option<String>,
}

/// One error.
#[derive(Debug, Serialize)]
struct Problem {
    document: usize,
    object: Option<String>,
    line: usize,
    column: usize,
    field: String,
    message: String,
}

/// What the files have in common.
#[derive(Default)]
struct All {
    /// Where each object was first.
    first: BTreeMap<ObjectRef, String>,
    /// By set: what it comes after, and the file, by number, and line that say so.
    after: BTreeMap<ObjectKey, (BTreeSet<Condition>, usize, api::Origin)>,
}

/// Admits every file; errors go to standard error, a line for each good file to `out`.
pub(super) fn check(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut checked = Vec::new();
    let mut all = All::default();
    for path in &args.files {
        for (file, text) in read(path)? {
            checked.push(match text {
                Ok(text) => admit(&file, &text, checked.len(), &mut all),
                Err(why) => Checked {
                    file,
                    objects: Vec::new(),
                    errors: Vec::new(),
                    unread: Some(why),
                },
            });
        }
    }
    add_cycles(&mut checked, &all);
    if args.output.is_some() {
        document(Format::Json, &checked, out)?;
    } else {
        print(&checked, out)?;
    }
    let good = checked.iter().all(|file| file.errors.is_empty());
    Ok(if good {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}

fn print(checked: &[Checked], out: &mut dyn Write) -> anyhow::Result<()> {
    for file in checked {
        if let Some(why) = &file.unread {
            writeln!(out, "{}: not read: {why}", file.file)?;
            continue;
        }
        for error in &file.errors {
            crate::cli::complain(&line(&file.file, error));
        }
        if file.errors.is_empty() {
            let objects = match file.objects.as_slice() {
                [] => "no objects".to_owned(),
                objects => objects.join(", "),
            };
            writeln!(out, "{}: ok: {objects}", file.file)?;
        }
    }
    Ok(())
}

/// `file:line:column: field: what`.
fn line(file: &str, error: &Problem) -> String {
    let field = if error.field.is_empty() {
        String::new()
    } else {
        format!("{}: ", error.field)
    };
    format!(
        "{file}:{}:{}: {field}{}",
        error.line, error.column, error.message
    )
}

fn admit(file: &str, text: &[u8], number: usize, all: &mut All) -> Checked {
    let mut checked = Checked {
        file: file.to_owned(),
        objects: Vec::new(),
        errors: Vec::new(),
        unread: None,
    };
    for result in api::admit(file, text) {
        match result {
            Ok(admitted) => {
                take(&mut checked, &admitted, &mut all.first);
                if let Object::DaemonSet(set) = &admitted.object {
                    let origin = admitted.origin.clone();
                    let after = all.after.entry(set.key().clone());
                    after.or_insert((set.after(), number, origin));
                }
            }
            Err(rejected) => checked.errors.extend(problems(&rejected)),
        }
    }
    checked
}

/// Sets that wait for each other are refused only together.
fn add_cycles(checked: &mut [Checked], all: &All) {
    for (key, (_, number, origin)) in &all.after {
        let after = |key: &ObjectKey| all.after.get(key).map(|(after, ..)| after);
        let Some(message) = order::cyclic(key, after) else {
            continue;
        };
        checked[*number].errors.push(Problem {
            document: origin.document,
            object: Some(format!("DaemonSet {key}")),
            line: origin.line,
            column: 1,
            field: order::FIELD.to_owned(),
            message,
        });
    }
}

/// Takes an admitted object; the agent runs the first of a name, and so refuses this one if it is
/// not that, and says what of it is not carried out.
fn take(checked: &mut Checked, admitted: &Admitted, first: &mut BTreeMap<ObjectRef, String>) {
    let object = admitted.object.reference();
    let problem = |field: &str, message: String, position: Option<api::Position>| Problem {
        document: admitted.origin.document,
        object: Some(object.to_string()),
        line: position.map_or(admitted.origin.line, |p| p.line),
        column: position.map_or(1, |p| p.column),
        field: field.to_owned(),
        message,
    };
    if let Some(earlier) = first.get(&object) {
        let message = format!("{object} is a duplicate of the one at {earlier}");
        checked.errors.push(problem("metadata.name", message, None));
        return;
    }
    first.insert(object.clone(), admitted.origin.to_string());
    if let Object::DaemonSet(set) = &admitted.object {
        let unsupported = set.unsupported();
        let problems = unsupported
            .iter()
            .map(|e| problem(&e.field, e.message.clone(), e.position));
        checked.errors.extend(problems);
    }
    checked.objects.push(object.to_string());
}

fn problems(rejected: &Rejected) -> Vec<Problem> {
    let errors = rejected.errors.iter().map(|error| Problem {
        document: rejected.origin.document,
        object: rejected.object.as_ref().map(ToString::to_string),
        line: error.position.map_or(rejected.origin.line, |p| p.line),
        column: error.position.map_or(1, |p| p.column),
        field: error.field.clone(),
        message: error.message.clone(),
    });
    errors.collect()
}

/// A file's name, with its text or why it is left unread.
type NamedText = (String, Result<Vec<u8>, String>);

/// The text of a file, of standard input, or of every file of a directory.
fn read(path: &Path) -> anyhow::Result<Vec<NamedText>> {
    if path == Path::new("-") {
        let text =
            files::read_all(&mut std::io::stdin(), MOST).context("cannot read standard input")?;
        return Ok(vec![("<stdin>".to_owned(), Ok(text))]);
    }
    let name = path.display().to_string();
    if !std::fs::metadata(path)
        .with_context(|| format!("cannot read {name}"))?
        .is_dir()
    {
        // What a person names may be a pipe, and they wait for it themselves.
        let text = std::fs::File::open(path)
            .and_then(|mut file| files::read_all(&mut file, MOST))
            .with_context(|| format!("cannot read {name}"))?;
        return Ok(vec![(name, Ok(text))]);
    }
    let mut found = Vec::new();
    walk(path, &mut found)?;
    Ok(found)
}

/// Every file under a directory in path order. Names that begin with a dot are passed over, as the
/// agent does, so that a mounted ConfigMap's `..data` is read once.
fn walk(directory: &Path, found: &mut Vec<NamedText>) -> anyhow::Result<()> {
    let name = || format!("cannot read {}", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(name)? {
        paths.push(entry.with_context(name)?.path());
    }
    paths.sort();
    for path in paths {
        let file = path.display().to_string();
        let last = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let hidden = last.starts_with('.');
        if std::fs::metadata(&path).is_ok_and(|m| m.is_dir()) {
            if !hidden {
                walk(&path, found)?;
            }
        } else if hidden {
            found.push((file, Err("its name begins with a dot".to_owned())));
        } else if ![".yaml", ".yml", ".json"]
            .iter()
            .any(|end| last.ends_with(end))
        {
            let why = "its name does not end in .yaml, .yml or .json";
            found.push((file, Err(why.to_owned())));
        } else {
            let text = match files::read(&path, MOST) {
                // No regular file, which the agent leaves unread too.
                Err(error) if error.kind() == ErrorKind::InvalidInput => Err(error.to_string()),
                text => Ok(text.with_context(|| format!("cannot read {file}"))?),
            };
            found.push((file, text));
        }
    }
    Ok(())
}
