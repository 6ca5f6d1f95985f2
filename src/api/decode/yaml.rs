//! One YAML document's events into a [`Tree`].
//!
//! `serde_yaml` reads the configuration; it is no use here, because it does not tell whether a scalar
//! was plain or quoted nor where it stood, and resolves scalars by other rules. So `saphyr-parser`
//! supplies events, and this file gives them the meaning Kubernetes' decoder (YAML 1.1) gives them.
//! Aliases are shared, not copied, and counted: a document whose aliases would blow it up is refused,
//! by the ratio of values the reference uses and by what it would be written out.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::tree::{Anchored, Entry, MAX_DEPTH, MAX_VALUES, Shape, Size, Tree};
use super::{scalar, tree};
use crate::api::Position;

/// What is wrong with the text, and where.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) message: String,
    pub(super) position: Position,
}

/// A document of the text given to [`parse`], and the line it begins at.
pub(super) type Parsed = Result<Tree, YamlError>;

/// Reads the documents of `text` for as long as `take` goes on; the first syntax error is the last of
/// them. Lines are counted from `first_line`.
pub(super) fn parse(
    text: &str,
    first_line: usize,
    take: &mut dyn FnMut(Parsed) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let suspicious = text.contains("\\/");
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        characters: if suspicious {
            text.chars().collect()
        } else {
            Vec::new()
        },
        first_line,
        anchors: HashMap::new(),
        literal: 0,
        aliased: 0,
        aliased_bytes: 0,
    };
    loop {
        match composer.document() {
            Ok(Some(tree)) => take(Ok(tree))?,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return take(Err(error)),
        }
    }
}

/// What stands behind aliases is no more than could be written out in one file, in bytes.
const MAX_ALIASED: u64 = crate::api::MAX_FILE_BYTES;
/// Below this many values a document may be nearly all aliases; above [`MANY`] a tenth at most.
const FEW: u64 = 400_000;
/// See [`FEW`].
const MANY: u64 = 4_000_000;

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// The text's characters, only where an escape needs a second look.
    characters: Vec<char>,
    first_line: usize,
    anchors: HashMap<usize, Rc<Anchored>>,
    literal: u64,
    aliased: u64,
    /// The bytes that stand behind aliases.
    aliased_bytes: u64,
}

/// An error at the place of an event.
type Failure = YamlError;

impl<'a> Composer<'a> {
    fn position(&self, span: Span) -> Position {
        Position {
            line: span.start.line() + self.first_line - 1,
            column: span.start.col() + 1,
        }
    }

    fn failure(&self, span: Span, message: impl Into<String>) -> Failure {
        YamlError {
            message: message.into(),
            position: self.position(span),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.failure(
                Span::empty(*error.marker()),
                format!("this is not YAML: {}", error.info()),
            )),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The next document of the stream, if there is one.
    fn document(&mut self) -> Result<Option<Tree>, Failure> {
        self.anchors.clear();
        (self.literal, self.aliased, self.aliased_bytes) = (0, 0, 0);
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                event => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Tree, Failure> {
        if depth > MAX_DEPTH {
            return Err(self.failure(span, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.literal += 1;
        if self.literal > MAX_VALUES {
            return Err(self.failure(span, tree::too_many()));
        }
        let position = self.position(span);
        let (shape, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => (
                self.scalar(text.into_owned(), style, tag.as_deref(), span)?,
                anchor,
            ),
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => return Err(self.failure(span, "a value was expected here")),
        };
        let tree = Tree { shape, position };
        if anchor == 0 {
            return Ok(tree);
        }
        let size = tree.measure();
        let shared = Rc::new(Anchored { tree, size });
        self.anchors.insert(anchor, Rc::clone(&shared));
        Ok(Tree {
            shape: Shape::Shared(shared),
            position,
        })
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Tree, Failure> {
        let Some(shared) = self.anchors.get(&id).cloned() else {
            return Err(self.failure(span, "the alias refers to a value that contains it"));
        };
        self.count_aliased(shared.size, span)?;
        if depth + shared.size.depth > MAX_DEPTH {
            return Err(self.failure(span, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Tree {
            shape: Shape::Shared(shared),
            position: self.position(span),
        })
    }

    /// Refuses a document in which aliases stand for too much, or for too many of the values.
    fn count_aliased(&mut self, size: Size, span: Span) -> Result<(), Failure> {
        self.aliased_bytes = self.aliased_bytes.saturating_add(size.bytes);
        if self.aliased_bytes > MAX_ALIASED {
            let message = format!(
                "written out, what stands behind aliases and << up to here is larger than {} MiB; \
                 refer to less, or split the document",
                MAX_ALIASED >> 20
            );
            return Err(self.failure(span, message));
        }
        self.aliased = self.aliased.saturating_add(size.values);
        let total = self.literal.saturating_add(self.aliased);
        let percent = match total {
            ..=FEW => 99,
            MANY.. => 10,
            between => 99 - 89 * (between - FEW) / (MANY - FEW),
        };
        let too_many = u128::from(self.aliased) * 100 > u128::from(total) * u128::from(percent);
        if self.aliased > 100 && total > 1000 && too_many {
            let message =
                "too many values stand behind aliases; write them out, or split the document";
            return Err(self.failure(span, message));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Shape, Failure> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                items.shrink_to_fit();
                return Ok(Shape::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Shape, Failure> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                entries.shrink_to_fit();
                return Ok(Shape::Map(entries));
            }
            let merge = is_merge(&event);
            let whole = match &event {
                Event::Scalar(text, ..) => scalar::is_integer(text),
                _ => false,
            };
            let key = self.node(event, span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            if merge {
                self.merge(&mut entries, &value, value_span)?;
                continue;
            }
            let position = key.position;
            let key = match key.resolved() {
                Shape::Text(text) => text.clone(),
                Shape::Bool(flag) => flag.to_string(),
                Shape::Number(number) if whole => number.clone(),
                Shape::Number(number) => scalar::float_key(number),
                _ => return Err(self.failure(span, "a key must be text, a number or a boolean")),
            };
            entries.push(Entry {
                key,
                position,
                value,
            });
        }
    }

    /// Adds the entries of the map, or of the maps in the list, that a `<<` key refers to.
    fn merge(&mut self, entries: &mut Vec<Entry>, value: &Tree, span: Span) -> Result<(), Failure> {
        let wrong = "the value of << must be a map, or a list of maps";
        match value.resolved() {
            // What is merged was counted where it was written, or as an alias.
            Shape::Map(merged) => {
                entries.extend(merged.iter().cloned());
                Ok(())
            }
            // Earlier maps win over later ones, so they are added last.
            Shape::List(maps) if maps.iter().all(|m| matches!(m.resolved(), Shape::Map(_))) => maps
                .iter()
                .rev()
                .try_for_each(|map| self.merge(entries, map, span)),
            _ => Err(self.failure(span, wrong)),
        }
    }

    fn scalar(
        &self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Shape, Failure> {
        if style == ScalarStyle::DoubleQuoted {
            self.check_escapes(span)?;
        }
        let Some(tag) = tag else {
            let plain = style == ScalarStyle::Plain;
            return Ok(if plain {
                scalar::resolve_plain(&text)
            } else {
                Shape::Text(text)
            });
        };
        if !tag.is_yaml_core_schema() {
            return Ok(Shape::Text(text));
        }
        if tag.suffix == "binary" {
            let encoded: String = text.split_whitespace().collect();
            let bytes: Result<k8s_openapi::ByteString, _> = serde_json::from_value(encoded.into());
            return match bytes {
                Ok(bytes) => Ok(Shape::Text(String::from_utf8_lossy(&bytes.0).into_owned())),
                Err(_) => Err(self.failure(span, "the text after !!binary is not base64")),
            };
        }
        let found = scalar::resolve_plain(&text);
        match (tag.suffix.as_str(), found) {
            ("null", shape @ Shape::Null)
            | ("bool", shape @ Shape::Bool(_))
            | ("float", shape @ Shape::Number(_)) => Ok(shape),
            ("int", Shape::Number(number)) if !number.contains(['.', 'e']) => {
                Ok(Shape::Number(number))
            }
            (wanted @ ("null" | "bool" | "float" | "int"), _) => Err(self.failure(
                span,
                format!("{text:?} is not what its tag !!{wanted} says"),
            )),
            _ => Ok(Shape::Text(text)),
        }
    }

    /// Refuses `\/`, which YAML 1.2 has and Kubernetes' YAML 1.1 has not.
    fn check_escapes(&self, span: Span) -> Result<(), Failure> {
        let raw = self
            .characters
            .get(span.start.index()..span.end.index())
            .unwrap_or_default();
        let mut raw = raw.iter();
        while let Some(character) = raw.next() {
            if *character == '\\' && raw.next() == Some(&'/') {
                return Err(self.failure(span, "\\/ is no escape in YAML 1.1; write / alone"));
            }
        }
        Ok(())
    }
}

/// Whether this key is a plain `<<`.
fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
        Event::Scalar(_, _, _, Some(tag)) => tag.is_yaml_core_schema() && tag.suffix == "merge",
        _ => false,
    }
}
