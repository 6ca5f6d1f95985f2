//! Text into values of known types, strictly: the first three checks of [`super::admit`].
//!
//! A document becomes a tree with positions (`decode/`), and the tree becomes a JSON value that
//! holds exactly the fields the schema knows, each of its type. Wrong types are decode errors;
//! fields that are unknown or written twice are strict errors. Values that Go's `omitempty` would
//! lose are left out, so that two spellings of one object come out equal.

pub(crate) mod documents;
mod json;
pub(super) mod scalar;
mod timestamp;
pub(crate) mod tree;
mod yaml;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::{Cause, FieldError, MAX_ERRORS};
use super::quantity::Quantity;
use super::schema::{Struct, Type};
use tree::{Entry, Shape, Tree};

/// What decoding found: the value as far as it could be read, and the errors of both kinds.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The object's fields.
    pub(crate) value: Map<String, Value>,
    /// Values of a wrong type.
    pub(crate) decode: Vec<FieldError>,
    /// Unknown fields and keys written twice.
    pub(crate) strict: Vec<FieldError>,
}

/// What the text was: the reference finds keys written twice everywhere in YAML, but in JSON only
/// where it knows the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// YAML text.
    Yaml,
    /// JSON text, or a JSON value that was no text of ours.
    Json,
}

/// Decodes a tree as an object of the given type.
pub(crate) fn decode(tree: &Tree, ty: &Struct, dialect: Dialect) -> Decoded {
    let mut decoder = Decoder {
        dialect,
        path: String::new(),
        decode: Vec::new(),
        strict: Vec::new(),
    };
    let value = match tree.resolved() {
        Shape::Map(entries) => decoder.object(ty, entries),
        Shape::Null => Map::new(),
        _ => {
            decoder.wrong_type(tree, "an object");
            Map::new()
        }
    };
    Decoded {
        value,
        decode: decoder.decode,
        strict: decoder.strict,
    }
}

struct Decoder {
    dialect: Dialect,
    path: String,
    decode: Vec<FieldError>,
    strict: Vec<FieldError>,
}

impl Decoder {
    /// Runs `work` with the path extended by a field name.
    fn within<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = work(self);
        self.path.truncate(before);
        result
    }

    /// Runs `work` with the path extended by an index or a map key.
    fn inside<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.push('[');
        self.path.push_str(step);
        self.path.push(']');
        let result = work(self);
        self.path.truncate(before);
        result
    }

    fn refuse(&mut self, tree: &Tree, message: String) {
        if self.decode.len() <= MAX_ERRORS {
            let position = (tree.position.line > 0).then_some(tree.position);
            let error = FieldError::new(self.path.as_str(), Cause::TypeInvalid, message);
            self.decode.push(error.at(position));
        }
    }

    fn wrong_type(&mut self, tree: &Tree, wanted: &str) {
        let message = format!("must be {wanted}, not {}", describe(tree));
        self.refuse(tree, message);
    }

    fn unsound(&mut self, entry: &Entry, cause: Cause, message: String) {
        if self.strict.len() <= MAX_ERRORS {
            let position = (entry.position.line > 0).then_some(entry.position);
            self.strict
                .push(FieldError::new(self.path.as_str(), cause, message).at(position));
        }
    }

    /// The entries that count, the last of each key; the others are reported.
    fn distinct<'e>(&mut self, entries: &'e [Entry], ty: Option<&Struct>) -> Vec<&'e Entry> {
        let mut place: HashMap<&str, usize> = HashMap::new();
        let small = entries.len() <= 16;
        let mut kept: Vec<&Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            let seen = if small {
                kept.iter().position(|other| other.key == entry.key)
            } else {
                place.get(entry.key.as_str()).copied()
            };
            let Some(at) = seen else {
                if !small {
                    place.insert(&entry.key, kept.len());
                }
                kept.push(entry);
                continue;
            };
            let line = kept.get(at).map_or(0, |first| first.position.line);
            let message = match line {
                0 => "is there twice; keep one".to_owned(),
                line => format!("is there twice, first in line {line}; keep one"),
            };
            let known = ty.is_none_or(|ty| ty.field(&entry.key).is_some());
            if known || self.dialect == Dialect::Yaml {
                self.within(&entry.key, |this| {
                    this.unsound(entry, Cause::DuplicateKey, message);
                });
            }
            if let Some(slot) = kept.get_mut(at) {
                *slot = entry;
            }
        }
        kept
    }

    fn object(&mut self, ty: &Struct, entries: &[Entry]) -> Map<String, Value> {
        let mut map = Map::new();
        for entry in self.distinct(entries, Some(ty)) {
            self.within(&entry.key, |this| {
                let Some(field) = ty.field(&entry.key) else {
                    let message = unknown_field(ty, &entry.key);
                    this.unsound(entry, Cause::Unknown, message);
                    this.skip(&entry.value);
                    return;
                };
                if let Some(value) = this.value(field, &entry.value, true) {
                    map.insert(entry.key.clone(), value);
                }
            });
        }
        map
    }

    /// Looks for keys written twice in a part that is not decoded.
    fn skip(&mut self, tree: &Tree) {
        match &tree.shape {
            _ if self.dialect == Dialect::Json => {}
            Shape::Map(entries) => {
                for entry in self.distinct(entries, None) {
                    self.within(&entry.key, |this| this.skip(&entry.value));
                }
            }
            Shape::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.inside(&index.to_string(), |this| this.skip(item));
                }
            }
            _ => {}
        }
    }

    /// The value as this type, or nothing where Go would leave the field out. In lists and maps
    /// (`field` false) nothing is left out.
    fn value(&mut self, ty: &Type, tree: &Tree, field: bool) -> Option<Value> {
        if tree.is_null() {
            return (!field).then(|| zero(ty));
        }
        match ty {
            Type::Str | Type::StrPtr => self.text(tree, field && matches!(ty, Type::Str)),
            Type::Bool | Type::BoolPtr => match tree.resolved() {
                Shape::Bool(false) if field && matches!(ty, Type::Bool) => None,
                Shape::Bool(flag) => Some(Value::Bool(*flag)),
                _ => {
                    self.wrong_type(tree, "true or false");
                    None
                }
            },
            Type::Int32 | Type::Int32Ptr => {
                let omit = field && matches!(ty, Type::Int32);
                self.integer(tree, i64::from(i32::MIN), i64::from(i32::MAX), omit)
            }
            Type::Int64 | Type::Int64Ptr => {
                self.integer(tree, i64::MIN, i64::MAX, field && matches!(ty, Type::Int64))
            }
            Type::Quantity => self.quantity(tree),
            Type::IntOrString => match tree.resolved() {
                Shape::Text(text) => Some(Value::String(text.clone())),
                _ => self.integer(tree, i64::from(i32::MIN), i64::from(i32::MAX), false),
            },
            Type::Time => self.time(tree),
            Type::Bytes => {
                let text = self.text(tree, false)?;
                Some(Value::String(text.as_str()?.replace(['\r', '\n'], "")))
            }
            Type::Any => Some(self.any(tree)),
            Type::List(item) => self.list(item, tree, field),
            Type::Map(item) => self.map(item, tree, field),
            Type::Object(inner) => match tree.resolved() {
                Shape::Map(entries) => Some(Value::Object(self.object(inner, entries))),
                _ => {
                    self.wrong_type(tree, "an object");
                    None
                }
            },
        }
    }

    fn text(&mut self, tree: &Tree, omit_empty: bool) -> Option<Value> {
        let Some(text) = tree.text() else {
            self.wrong_type(tree, "text; put it in quotes if it is meant as text");
            return None;
        };
        (!(omit_empty && text.is_empty())).then(|| Value::String(text.to_owned()))
    }

    fn integer(&mut self, tree: &Tree, min: i64, max: i64, omit_zero: bool) -> Option<Value> {
        let Shape::Number(number) = tree.resolved() else {
            self.wrong_type(tree, "a whole number");
            return None;
        };
        match number.parse::<i64>() {
            Ok(0) if omit_zero => None,
            Ok(value) if (min..=max).contains(&value) => Some(Value::from(value)),
            Ok(_) => {
                self.refuse(
                    tree,
                    format!("{number} is out of range; it must be {min} to {max}"),
                );
                None
            }
            Err(_) => {
                self.refuse(
                    tree,
                    format!("must be a whole number of {min} to {max}, not {number}"),
                );
                None
            }
        }
    }

    fn quantity(&mut self, tree: &Tree) -> Option<Value> {
        let (Shape::Text(text) | Shape::Number(text)) = tree.resolved() else {
            self.wrong_type(tree, "a quantity such as 100m or 1Gi");
            return None;
        };
        match Quantity::parse(text.trim()) {
            Ok(quantity) => Some(Value::String(quantity.to_string())),
            Err(error) => {
                self.refuse(tree, format!("{text:?} is no quantity: {error}"));
                None
            }
        }
    }

    fn time(&mut self, tree: &Tree) -> Option<Value> {
        let text = tree.text();
        match text.and_then(timestamp::normalise) {
            Some(normalised) => Some(Value::String(normalised)),
            None => {
                self.wrong_type(tree, "a time such as 2006-01-02T15:04:05Z");
                None
            }
        }
    }

    fn any(&mut self, tree: &Tree) -> Value {
        match tree.resolved() {
            Shape::Null | Shape::Shared(_) => Value::Null,
            Shape::Bool(flag) => Value::Bool(*flag),
            Shape::Number(number) => serde_json::from_str(number).unwrap_or(Value::Null),
            Shape::Text(text) => Value::String(text.clone()),
            Shape::List(items) => Value::Array(items.iter().map(|item| self.any(item)).collect()),
            Shape::Map(entries) => {
                let kept = self.distinct(entries, None);
                kept.iter()
                    .map(|entry| (entry.key.clone(), self.any(&entry.value)))
                    .collect()
            }
        }
    }

    fn list(&mut self, item: &Type, tree: &Tree, field: bool) -> Option<Value> {
        let Shape::List(items) = tree.resolved() else {
            self.wrong_type(tree, "a list");
            return None;
        };
        if items.is_empty() && field {
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, tree) in items.iter().enumerate() {
            let value = self.inside(&index.to_string(), |this| this.value(item, tree, false));
            values.push(value.unwrap_or_else(|| zero(item)));
        }
        Some(Value::Array(values))
    }

    fn map(&mut self, item: &Type, tree: &Tree, field: bool) -> Option<Value> {
        let Shape::Map(entries) = tree.resolved() else {
            self.wrong_type(tree, "a map");
            return None;
        };
        if entries.is_empty() && field {
            return None;
        }
        let mut map = Map::new();
        for entry in self.distinct(entries, None) {
            let value = self.inside(&entry.key, |this| this.value(item, &entry.value, false));
            map.insert(entry.key.clone(), value.unwrap_or_else(|| zero(item)));
        }
        Some(Value::Object(map))
    }
}

/// What stands in a list or map where the text has null.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::Str | Type::StrPtr | Type::Bytes => Value::String(String::new()),
        Type::Bool | Type::BoolPtr => Value::Bool(false),
        Type::Int32 | Type::Int32Ptr | Type::Int64 | Type::Int64Ptr | Type::IntOrString => {
            Value::from(0)
        }
        Type::Quantity => Value::String("0".to_owned()),
        Type::Time | Type::Any => Value::Null,
        Type::List(_) => Value::Array(Vec::new()),
        Type::Map(_) | Type::Object(_) => Value::Object(Map::new()),
    }
}

/// What is written, in words, for the message of a type error.
fn describe(tree: &Tree) -> String {
    match tree.resolved() {
        Shape::Null | Shape::Shared(_) => "nothing".to_owned(),
        Shape::Bool(flag) => format!("the boolean {flag}"),
        Shape::Number(number) => format!("the number {number}"),
        Shape::Text(text) if text.len() <= 40 => format!("the text {text:?}"),
        Shape::Text(_) => "text".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) => "a map".to_owned(),
    }
}

fn unknown_field(ty: &Struct, name: &str) -> String {
    match ty.other_case(name) {
        Some(known) => format!(
            "there is no such field; {} has {known}, spelled so",
            ty.name
        ),
        None => format!("there is no such field in {}", ty.name),
    }
}
