//! What is said when a document is refused: which object, what kind of refusal, which fields.
//!
//! Values only: nothing here decides, and nothing here is Kubernetes' own text. The causes carry
//! Kubernetes' names (`FieldValueRequired`), the messages are ours.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ObjectRef, Origin, Position};

/// As many errors are told of one document.
pub(super) const MAX_ERRORS: usize = 200;
/// The most bytes of a field's path and of a message that are kept: keys and values in them may be
/// of any length.
const MAX_TEXT: usize = 1024;

/// A document, or one object of it, that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it was read.
    pub origin: Origin,
    /// Which object it is, as far as its kind, namespace and name could be read.
    pub object: Option<ObjectRef>,
    /// The first kind of error it has; errors of later kinds are not looked for.
    pub refusal: Refusal,
    /// Every error of that kind, in the order of the text where positions are known.
    pub errors: Vec<FieldError>,
}

/// The kinds of refusal, in the order in which they are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// The text is neither YAML nor JSON.
    Syntax,
    /// It is an object, but not of a kind the agent takes.
    Type,
    /// A value has the wrong type or cannot be parsed.
    Decode,
    /// Fields are unknown or given twice.
    Strict,
    /// It decoded, and is invalid.
    Validation,
}

impl Refusal {
    /// The kind in one lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Type => "type",
            Self::Decode => "decode",
            Self::Strict => "strict",
            Self::Validation => "validation",
        }
    }
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's path from the object's root, `spec.template.spec.containers[0].image`; empty
    /// when the error is about the whole document.
    pub field: String,
    /// What sort of error it is.
    pub cause: Cause,
    /// What is wrong and what would be right, in one line.
    pub message: String,
    /// Where the field, or the nearest thing around it that was written, stands in the file.
    pub position: Option<Position>,
}

/// Why a field is refused; the names of [`Cause::as_str`] are Kubernetes'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// It must have a value.
    Required,
    /// Its value breaks a rule.
    Invalid,
    /// Its value is not one of those allowed.
    NotSupported,
    /// It must not be set here.
    Forbidden,
    /// Its value is there twice.
    Duplicate,
    /// It is longer than allowed.
    TooLong,
    /// It has more items than allowed.
    TooMany,
    /// It names something that does not exist.
    NotFound,
    /// Its value has the wrong type.
    TypeInvalid,
    /// There is no such field.
    Unknown,
    /// The same key was written twice.
    DuplicateKey,
    /// The text cannot be read.
    Unreadable,
}

impl Cause {
    /// The cause as Kubernetes names it in `status.details.causes`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Unknown => "FieldUnknown",
            Self::DuplicateKey => "FieldDuplicate",
            Self::Unreadable => "Unreadable",
        }
    }
}

impl FieldError {
    /// Makes an error whose position is not known, or not known yet.
    pub fn new(field: impl Into<String>, cause: Cause, message: impl Into<String>) -> Self {
        Self {
            field: shortened(field.into()),
            cause,
            message: shortened(message.into()),
            position: None,
        }
    }

    /// The same error, with its position.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }
}

/// Text of a bounded length; an ellipsis stands for what is left out.
fn shortened(text: String) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}…", text.get(..end).unwrap_or_default())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{}:{}: ", position.line, position.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl Rejected {
    /// The lines to print, one an error: `file:line:column: field: what`.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.errors.iter().map(|error| match error.position {
            Some(_) => format!("{}:{error}", self.origin.file),
            None => format!("{}: {error}", self.origin),
        })
    }
}

impl fmt::Display for Rejected {
    /// The first error's line, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines().next() {
            Some(line) => f.write_str(&line)?,
            None => write!(f, "{}: refused ({})", self.origin, self.refusal)?,
        }
        match self.errors.len() {
            0 | 1 => Ok(()),
            n => write!(f, " (and {} more)", n - 1),
        }
    }
}

impl std::error::Error for Rejected {}
