//! A value with its path, and the list that errors go into.
//!
//! [`At`] is a view into a decoded object: a field that is absent reads as its zero value, and the
//! path is put together only when an error needs it. In debug builds a field name that the schema
//! does not know is caught at once.

use serde_json::Value;

use crate::api::error::MAX_ERRORS;
use crate::api::quantity::Quantity;
use crate::api::{Cause, FieldError};

/// A value and where it is.
#[derive(Clone, Copy)]
pub(crate) struct At<'p, 'v> {
    value: Option<&'v Value>,
    parent: Option<&'p At<'p, 'v>>,
    step: Step<'v>,
}

#[derive(Clone, Copy)]
enum Step<'v> {
    Root,
    Field(&'v str),
    Index(usize),
    Key(&'v str),
}

impl<'p, 'v> At<'p, 'v> {
    /// The object itself, with an empty path.
    pub(crate) fn root(value: &'v Value) -> Self {
        Self {
            value: Some(value),
            parent: None,
            step: Step::Root,
        }
    }

    /// The field with this name.
    pub(crate) fn field<'s>(&'s self, name: &'v str) -> At<'s, 'v> {
        let value = self.value.and_then(|value| value.get(name));
        At {
            value,
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// The items of a list.
    pub(crate) fn items<'s>(&'s self) -> impl Iterator<Item = At<'s, 'v>> + use<'s, 'p, 'v> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten();
        items.enumerate().map(|(index, value)| At {
            value: Some(value),
            parent: Some(self),
            step: Step::Index(index),
        })
    }

    /// The entries of a map.
    pub(crate) fn entries<'s>(
        &'s self,
    ) -> impl Iterator<Item = (&'v str, At<'s, 'v>)> + use<'s, 'p, 'v> {
        let map = self.value.and_then(Value::as_object).into_iter().flatten();
        map.map(|(key, value)| {
            (
                key.as_str(),
                At {
                    value: Some(value),
                    parent: Some(self),
                    step: Step::Key(key),
                },
            )
        })
    }

    /// The entry with this key.
    pub(crate) fn entry<'s>(&'s self, key: &'v str) -> At<'s, 'v> {
        let value = self.value.and_then(|value| value.get(key));
        At {
            value,
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// Whether anything is there.
    pub(crate) fn is_set(&self) -> bool {
        self.value.is_some()
    }

    /// The text, or nothing as the empty text.
    pub(crate) fn str(&self) -> &'v str {
        self.value.and_then(Value::as_str).unwrap_or_default()
    }

    /// The number, or nothing as 0.
    pub(crate) fn int(&self) -> i64 {
        self.value.and_then(Value::as_i64).unwrap_or_default()
    }

    /// The boolean, if there is one.
    pub(crate) fn flag(&self) -> Option<bool> {
        self.value.and_then(Value::as_bool)
    }

    /// Whether the boolean is there and true.
    pub(crate) fn is_true(&self) -> bool {
        self.flag() == Some(true)
    }

    /// How many items or entries there are.
    pub(crate) fn len(&self) -> usize {
        match self.value {
            Some(Value::Array(items)) => items.len(),
            Some(Value::Object(map)) => map.len(),
            _ => 0,
        }
    }

    /// The quantity; nothing, or one that was refused before, is 0.
    pub(crate) fn quantity(&self) -> Quantity {
        Quantity::parse(self.str()).unwrap_or_else(|_| Quantity::from_int(0))
    }

    /// The value as it is.
    pub(crate) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// The path from the object's root.
    pub(crate) fn path(&self) -> String {
        let mut path = self.parent.map(|parent| parent.path()).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => {
                path.push('.');
                path.push_str(name);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Key(key) => path.push_str(&format!("[{key}]")),
        }
        path
    }
}

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Errors {
    /// In the order in which they were found; one more than are told, at most.
    pub(crate) found: Vec<FieldError>,
    /// How many there were.
    pub(crate) count: usize,
}

impl Errors {
    /// An error at a path that is not simply a field's.
    pub(crate) fn add(&mut self, path: String, cause: Cause, message: impl Into<String>) {
        self.count += 1;
        if self.found.len() <= MAX_ERRORS {
            self.found.push(FieldError::new(path, cause, message));
        }
    }

    /// The field must have a value.
    pub(crate) fn required(&mut self, at: &At<'_, '_>, message: impl Into<String>) {
        self.add(at.path(), Cause::Required, message);
    }

    /// The field's value breaks a rule.
    pub(crate) fn invalid(&mut self, at: &At<'_, '_>, message: impl Into<String>) {
        self.add(at.path(), Cause::Invalid, message);
    }

    /// The field must not be set.
    pub(crate) fn forbidden(&mut self, at: &At<'_, '_>, message: impl Into<String>) {
        self.add(at.path(), Cause::Forbidden, message);
    }

    /// The field's value is there before.
    pub(crate) fn duplicate(&mut self, at: &At<'_, '_>, value: &str) {
        self.add(
            at.path(),
            Cause::Duplicate,
            format!("{value:?} is there before; it must be unique"),
        );
    }

    /// The field names something that is not there.
    pub(crate) fn not_found(&mut self, at: &At<'_, '_>, message: impl Into<String>) {
        self.add(at.path(), Cause::NotFound, message);
    }

    /// The text must be one of those listed.
    pub(crate) fn one_of(&mut self, at: &At<'_, '_>, allowed: &[&str]) {
        if !allowed.contains(&at.str()) {
            self.unsupported(at.path(), at.str(), allowed);
        }
    }

    /// The text must be one of those listed, and there.
    pub(crate) fn required_one_of(&mut self, at: &At<'_, '_>, allowed: &[&str]) {
        if at.str().is_empty() {
            self.required(at, format!("must be set; use {}", list(allowed)));
        } else {
            self.one_of(at, allowed);
        }
    }

    /// A value that is none of those listed.
    pub(crate) fn unsupported(&mut self, path: String, value: &str, allowed: &[&str]) {
        let message = format!("{value:?} is not supported; use {}", list(allowed));
        self.add(path, Cause::NotSupported, message);
    }

    /// The number must not be negative.
    pub(crate) fn not_negative(&mut self, at: &At<'_, '_>) {
        if at.int() < 0 {
            self.invalid(at, format!("is {}; it must be 0 or more", at.int()));
        }
    }

    /// The rule's complaint, if it has one.
    pub(crate) fn check(&mut self, at: &At<'_, '_>, rule: impl Fn(&str) -> Option<String>) {
        if let Some(message) = rule(at.str()) {
            self.invalid(at, message);
        }
    }
}

/// Words in a row: `a, b or c`.
pub(crate) fn list(words: &[&str]) -> String {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.is_empty())
        .collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
