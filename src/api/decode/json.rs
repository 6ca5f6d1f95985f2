//! JSON text into a [`Tree`], strictly as RFC 8259 has it, with a position for every value.
//!
//! Text that is no UTF-8 is refused before; a lone surrogate becomes U+FFFD as it does in Go.

use super::tree::{self, Entry, MAX_DEPTH, MAX_VALUES, Shape, Tree};
use crate::api::Position;

/// What is wrong with the text, and where.
#[derive(Debug)]
pub(super) struct JsonError {
    pub(super) message: String,
    pub(super) position: Position,
}

/// Reads one JSON value; anything after it is an error.
pub(super) fn parse(text: &str) -> Result<Tree, JsonError> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        counted: 0,
        columns: 0,
        values: 0,
    };
    let tree = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(
            reader.error("there is more text after the JSON value; a JSON file holds one value")
        );
    }
    Ok(tree)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// Up to here the columns of this line are counted, so that a long line is counted once.
    counted: usize,
    columns: usize,
    /// How many values were read.
    values: u64,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn position(&mut self) -> Position {
        let more = self.text.get(self.counted..self.at);
        self.columns += more.map_or(0, |more| more.chars().count());
        self.counted = self.at;
        Position {
            line: self.line,
            column: self.columns + 1,
        }
    }

    fn error(&mut self, message: impl Into<String>) -> JsonError {
        JsonError {
            message: message.into(),
            position: self.position(),
        }
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                (self.counted, self.columns) = (self.at, 0);
            }
        }
    }

    fn expected(&mut self, what: &str) -> JsonError {
        match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => self.error(format!("expected {what}, found {found:?}")),
            None => self.error(format!("expected {what}, but the text ends here")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Tree, JsonError> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(tree::too_many()));
        }
        let position = self.position();
        let shape = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Shape::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Tree { shape, position })
    }

    fn word(&mut self) -> Result<Shape, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, shape) in [
            ("true", Shape::Bool(true)),
            ("false", Shape::Bool(false)),
            ("null", Shape::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(shape);
            }
        }
        Err(self.expected("a JSON value"))
    }

    fn list(&mut self, depth: usize) -> Result<Shape, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Shape::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    items.shrink_to_fit();
                    return Ok(Shape::List(items));
                }
                _ => return Err(self.expected("',' or ']'")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Shape, JsonError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Shape::Map(entries));
        }
        loop {
            self.skip_space();
            let position = self.position();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in double quotes"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.expected("':'"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            entries.push(Entry {
                key,
                position,
                value,
            });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    entries.shrink_to_fit();
                    return Ok(Shape::Map(entries));
                }
                _ => return Err(self.expected("',' or '}'")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.expected("a digit"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<Shape, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Shape::Number(
            self.text.get(start..self.at).unwrap_or_default().to_owned(),
        ))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|b| b != b'"' && b != b'\\' && b >= 0x20)
            {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.expected("the string's closing '\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let short = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.expected("a JSON escape such as \\n or \\u0041")),
        };
        self.at += 1;
        Ok(short)
    }

    fn unit(&mut self) -> Option<u32> {
        let hex = self.text.get(self.at + 1..self.at + 5)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let unit = u32::from_str_radix(hex, 16).ok()?;
        self.at += 5;
        Some(unit)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let Some(first) = self.unit() else {
            return Err(self.error("expected four hexadecimal digits after \\u"));
        };
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or('\u{fffd}'));
        }
        let before = self.at;
        if self.text.as_bytes().get(self.at..self.at + 2) == Some(b"\\u") {
            self.at += 1;
            if let Some(second @ 0xdc00..0xe000) = self.unit() {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
        }
        self.at = before;
        Ok('\u{fffd}')
    }
}
