//! Tables for people, JSON and YAML for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::api::to_yaml;

/// The forms a document can be printed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints a document.
pub(super) fn document(
    format: Format,
    value: &impl Serialize,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, value)?;
            writeln!(out)?;
        }
        Format::Yaml => out.write_all(to_yaml(value)?.as_bytes())?,
    }
    Ok(())
}

/// What becomes of the ends of lines inside a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// They stay: the text stands by itself.
    Keep,
    /// They are escaped: the text is part of a line.
    Escape,
}

/// A text without what a terminal would act on. As kubectl, ESC is `^[` and a carriage return `\\r`;
/// so are other control characters, which kubectl leaves: `^G` for BEL, `\\u{9b}` for CSI.
pub(super) fn escaped(text: &str, breaks: Breaks) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if breaks == Breaks::Keep => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push(c),
            '\x7f' => out.push_str("^?"),
            '\0'..='\x1f' => out.extend(['^', char::from(c as u8 + b'@')]),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Says a line on standard error, control characters escaped. That nobody reads it, which `eprintln!`
/// panics at, changes nothing of what the command does and answers.
pub fn complain(line: &str) {
    writeln!(io::stderr(), "{}", escaped(line, Breaks::Escape)).ok();
}

/// A document whose texts, all of them, may be shown on a terminal.
pub(super) fn for_people(document: Value, breaks: Breaks) -> Value {
    match document {
        Value::String(text) => Value::String(escaped(&text, breaks)),
        Value::Array(values) => values
            .into_iter()
            .map(|value| for_people(value, breaks))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (escaped(&name, breaks), for_people(value, breaks)))
            .collect(),
        other => other,
    }
}

/// A table's cell: of a text of several lines the first, as kubectl prints it.
pub(super) fn cell(text: &str) -> String {
    match text.split_once(['\n', '\r', '\x0c']) {
        Some((first, _)) => format!("{}...", escaped(first, Breaks::Escape)),
        None => escaped(text, Breaks::Escape),
    }
}

/// Lines up rows under each other, three spaces between columns, nothing at the ends of lines.
pub(super) fn align(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Whether words may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// On a terminal.
    On,
    /// Everywhere else.
    Off,
}

impl Colour {
    /// Colours for standard output.
    pub(super) fn of_stdout() -> Self {
        use std::io::IsTerminal;
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        if wanted && std::io::stdout().is_terminal() {
            Self::On
        } else {
            Self::Off
        }
    }

    /// The text in a colour by its SGR number: 31 red, 32 green, 33 yellow, 2 dim.
    pub(super) fn paint(self, sgr: u8, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{sgr}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_quotes_what_other_readers_take_for_something_else() {
        let mut out = Vec::new();
        let value = json!({"a": "1_000", "b": ["off"]});
        document(Format::Yaml, &value, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "a: \"1_000\"\nb:\n- \"off\"\n");
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_on() {
        let text = "a\x1b[2J\rb\x07\x7f\u{9b}31m\tc\nd é";
        let shown = "a^[[2J\\rb^G^?\\u{9b}31m\tc\nd é";
        assert_eq!(escaped(text, Breaks::Keep), shown);
        assert_eq!(escaped(text, Breaks::Escape), shown.replace('\n', "\\n"));
        assert_eq!(cell("one\x1b\ntwo"), "one^[...");
        let document = json!({"a\x1b": ["b\x1b", {"c": "\x1b"}], "n": 1});
        let shown = json!({"a^[": ["b^[", {"c": "^["}], "n": 1});
        assert_eq!(for_people(document, Breaks::Escape), shown);
    }
}
