//! A document as it was written: values with their positions, before any type is known.
//!
//! YAML and JSON both become a [`Tree`]. Numbers stay text, so that a quantity keeps its spelling
//! and an integer is told from `1.0`. A node behind an anchor is shared, never copied.

use std::rc::Rc;

use crate::api::Position;

/// How deeply values may be nested; what Kubernetes' types need is about thirty.
pub(super) const MAX_DEPTH: usize = 128;

/// The most values of one document as it is written. A file of the largest size that is read has as
/// many only where nothing but values is in it.
pub(super) const MAX_VALUES: u64 = 1_000_000;

/// What is said of a document with more.
pub(super) fn too_many() -> String {
    format!("there are more than {MAX_VALUES} values up to here; split the document")
}

/// One value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// What it is.
    pub(crate) shape: Shape,
    /// Where it begins; line 0 where there is no text.
    pub(crate) position: Position,
}

/// The shapes a value has in JSON.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as JSON would spell it.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// A map, in the order written, keys given twice included.
    Map(Vec<Entry>),
    /// A value behind an anchor.
    Shared(Rc<Anchored>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key as text, which is what JSON makes of it.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) position: Position,
    /// The key's value.
    pub(crate) value: Tree,
}

/// A value that aliases refer to.
#[derive(Debug)]
pub(crate) struct Anchored {
    /// The value itself.
    pub(crate) tree: Tree,
    /// How large it is with every alias expanded.
    pub(crate) size: Size,
}

/// How large a value is when it is written out, with every alias expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Values; an item of a list and an entry of a map count twice.
    pub(crate) values: u64,
    /// Bytes, as JSON without white space.
    pub(crate) bytes: u64,
    /// Levels of nesting.
    pub(crate) depth: usize,
}

impl Size {
    /// A value that holds no others.
    fn of_scalar(bytes: usize) -> Self {
        Self {
            values: 1,
            bytes: bytes as u64,
            depth: 1,
        }
    }

    /// A list or map with another value in it, and that many bytes around the value.
    fn with(self, inner: Self, around: usize) -> Self {
        Self {
            values: self.values.saturating_add(inner.values).saturating_add(1),
            bytes: self.bytes.saturating_add(inner.bytes + around as u64),
            depth: self.depth.max(inner.depth + 1),
        }
    }
}

impl Tree {
    /// The shape, seen through an anchor.
    pub(crate) fn resolved(&self) -> &Shape {
        match &self.shape {
            Shape::Shared(anchored) => anchored.tree.resolved(),
            shape => shape,
        }
    }

    /// The value of the last entry with this key, if this is a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        match self.resolved() {
            Shape::Map(entries) => entries
                .iter()
                .rev()
                .find(|e| e.key == key)
                .map(|e| &e.value),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self.resolved() {
            Shape::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.resolved(), Shape::Null)
    }

    /// How large this is.
    pub(crate) fn measure(&self) -> Size {
        match &self.shape {
            Shape::Shared(anchored) => anchored.size,
            Shape::Null => Size::of_scalar("null".len()),
            Shape::Bool(flag) => Size::of_scalar(if *flag { "true" } else { "false" }.len()),
            Shape::Number(number) => Size::of_scalar(number.len()),
            Shape::Text(text) => Size::of_scalar(text.len() + 2),
            Shape::List(items) => items.iter().fold(Size::of_scalar(2), |size, item| {
                size.with(item.measure(), ",".len())
            }),
            Shape::Map(entries) => entries.iter().fold(Size::of_scalar(2), |size, entry| {
                let around = entry.key.len() + "\"\":,".len();
                size.with(entry.value.measure(), around)
            }),
        }
    }

    /// Where the field with this path stands, or the nearest thing around it that was written.
    pub(crate) fn locate(&self, path: &str) -> Option<Position> {
        let mut tree = self;
        let mut found = self.position;
        for step in steps(path) {
            let next = match tree.resolved() {
                Shape::Map(entries) => entries
                    .iter()
                    .rev()
                    .find(|entry| entry.key == step)
                    .map(|entry| (&entry.value, entry.position)),
                Shape::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|item| (item, item.position)),
                _ => None,
            };
            let Some((next, position)) = next else { break };
            (tree, found) = (next, position);
        }
        (found.line > 0).then_some(found)
    }
}

/// The steps of a field path: `a.b[0][key]` is `a`, `b`, `0`, `key`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = inner.split_once(']').unwrap_or((inner, ""));
            rest = after;
            return Some(step);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (step, after) = rest.split_at(end);
        rest = after;
        Some(step)
    })
}

/// The tree of a JSON value that was never text of ours; it has no positions.
pub(crate) fn from_value(value: serde_json::Value) -> Tree {
    use serde_json::Value;
    let nowhere = Position { line: 0, column: 0 };
    let shape = match value {
        Value::Null => Shape::Null,
        Value::Bool(flag) => Shape::Bool(flag),
        Value::Number(number) => Shape::Number(number.to_string()),
        Value::String(text) => Shape::Text(text),
        Value::Array(items) => Shape::List(items.into_iter().map(from_value).collect()),
        Value::Object(map) => Shape::Map(
            map.into_iter()
                .map(|(key, value)| Entry {
                    key,
                    position: nowhere,
                    value: from_value(value),
                })
                .collect(),
        ),
    };
    Tree {
        shape,
        position: nowhere,
    }
}
