//! Values written as YAML, as Go's `sigs.k8s.io/yaml` writes them.
//!
//! YAML has readers of several versions, and one of them reads `no`, `1_000`, `0o7`, `12:30:45` or
//! `2001-01-01` as something else than text. A text that any of them could take for something else
//! is quoted. Lists stand at the column of their key; lines are not wrapped, whatever their length.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::Serialize;
use serde_yaml::Value;

use super::decode::scalar;

/// Keys of more characters are written after a `?`, as libyaml does.
const SIMPLE_KEY: usize = 128;

/// The value as one YAML document; fields stand in the order they are serialised in.
///
/// # Errors
///
/// The value has a form that YAML cannot show, such as an enum within an enum.
pub fn to_yaml(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let mut out = String::new();
    let value = serde_yaml::to_value(value)?;
    match &value {
        Value::Mapping(map) if !map.is_empty() => mapping(map, 0, false, &mut out),
        Value::Sequence(items) if !items.is_empty() => sequence(items, 0, &mut out),
        single => {
            scalar(single, 2, &mut out);
            out.push('\n');
        }
    }
    Ok(out)
}

fn indent(columns: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', columns));
}

/// The entries of a map at a column; the first follows what is there already where it is `inline`.
fn mapping(map: &serde_yaml::Mapping, column: usize, inline: bool, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 || !inline {
            indent(column, out);
        }
        let mut name = String::new();
        match key {
            Value::String(text) => one_line(text, &mut name),
            other => scalar(other, column + 2, &mut name),
        }
        if name.chars().count() > SIMPLE_KEY {
            let _ = writeln!(out, "? {name}");
            indent(column, out);
        } else {
            out.push_str(&name);
        }
        out.push(':');
        match value {
            Value::Mapping(map) if !map.is_empty() => {
                out.push('\n');
                mapping(map, column + 2, false, out);
            }
            Value::Sequence(items) if !items.is_empty() => {
                out.push('\n');
                sequence(items, column, out);
            }
            single => {
                out.push(' ');
                scalar(single, column + 2, out);
                out.push('\n');
            }
        }
    }
}

fn sequence(items: &[Value], column: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        // The items of a list within a list begin on its line.
        if index > 0 || !out.ends_with("- ") {
            indent(column, out);
        }
        out.push_str("- ");
        match item {
            Value::Mapping(map) if !map.is_empty() => mapping(map, column + 2, true, out),
            Value::Sequence(items) if !items.is_empty() => sequence(items, column + 2, out),
            single => {
                scalar(single, column + 2, out);
                out.push('\n');
            }
        }
    }
}

/// What stands on one line, or begins there; a text's further lines stand at the column.
fn scalar(value: &Value, column: usize, out: &mut String) {
    match value {
        Value::String(text) if text.contains('\n') && may_be_block(text) => {
            block(text, column, out)
        }
        Value::String(text) => one_line(text, out),
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Sequence(_) => out.push_str("[]"),
        Value::Mapping(_) => out.push_str("{}"),
        Value::Tagged(tagged) => scalar(&tagged.value, column, out),
    }
}

/// A text on one line: plain, or quoted where it must be.
fn one_line(text: &str, out: &mut String) {
    let special = text.chars().any(|c| !is_plain_character(c) || is_break(c));
    if special || is_taken_for_something_else(text) {
        return double_quoted(text, out);
    }
    let spaced = text.starts_with(' ') || text.ends_with(' ');
    if spaced || has_indicator(text) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push_str(text);
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0' => out.push_str("\\0"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\x1b' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if is_plain_character(c) => out.push(c),
            c => {
                let number = u32::from(c);
                let (sign, digits) = match number {
                    ..0x100 => ('x', 2),
                    0x100..0x1_0000 => ('u', 4),
                    _ => ('U', 8),
                };
                let _ = write!(out, "\\{sign}{number:0digits$X}");
            }
        }
    }
    out.push('"');
}

/// A text of several lines after a `|`.
fn block(text: &str, column: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let ends = text.len() - text.trim_end_matches('\n').len();
    match ends {
        0 => out.push('-'),
        1 if text.len() > 1 => {}
        _ => out.push('+'),
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(column, out);
            out.push_str(line);
        }
    }
}

/// Whether a block keeps the text as it is, by libyaml's rules: no space ends a line.
fn may_be_block(text: &str) -> bool {
    let spaced = text.ends_with(' ') || text.contains(" \n");
    let odd = |c: char| c != '\n' && (is_break(c) || !is_plain_character(c));
    !spaced && !text.chars().any(odd)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that stand for themselves, of those libyaml calls printable.
fn is_plain_character(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether a plain text would begin or end something else by one of YAML's signs.
fn has_indicator(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    let mut first = true;
    while let Some(c) = characters.next() {
        let blank_follows = characters.peek().is_none_or(|next| *next == ' ');
        let found = match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if first =>
            {
                true
            }
            '?' | '-' if first => blank_follows,
            ':' => blank_follows,
            '#' => before == ' ',
            _ => false,
        };
        if found {
            return true;
        }
        (before, first) = (c, false);
    }
    false
}

/// Whether a reader of YAML 1.1 or 1.2 takes a plain text for null, a boolean, a number, a time or a
/// merge key.
fn is_taken_for_something_else(text: &str) -> bool {
    scalar::is_more_than_text(text)
        || matches!(text, "<<" | "=")
        || is_whole(text)
        || is_sexagesimal(text)
        || is_time(text)
}

/// A whole number of any size in one of the bases.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (base, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    digits.contains(|c: char| c.is_digit(base))
        && digits.chars().all(|c| c == '_' || c.is_digit(base))
        && (base != 10 || !digits.starts_with('_'))
}

/// `12:30:45`, in YAML 1.1 a number to the base of 60.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first = parts.next().unwrap_or_default();
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && whole.contains(':')
        && parts.all(|part| !part.is_empty() && part.len() <= 2 && digits(part))
}

/// A date, or a date and a time of day.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let number = |part: Option<&str>, least: usize, most: usize| {
        part.is_some_and(|part| {
            (least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        })
    };
    if !number(parts.next(), 4, 4) || !number(parts.next(), 1, 2) {
        return false;
    }
    let rest = parts.next().unwrap_or_default();
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (day, rest) = rest.split_at(end);
    let clock = |c: char| c.is_ascii_digit() || "Tt :.+-Zz".contains(c);
    number(Some(day), 1, 2)
        && (rest.is_empty() || rest.starts_with(['T', 't', ' ']) && rest.chars().all(clock))
}
