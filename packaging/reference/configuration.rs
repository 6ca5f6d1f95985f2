//! `/etc/setlet/config.yaml` with every key as a comment, and what `setlet.yaml(5)` says of each key.

use std::fmt::Write;

use serde_yaml::{Mapping, Value};

use super::fields::{Field, Structs};

/// What says which file it is; not a comment in the file.
const HEAD: [&str; 2] = ["apiVersion", "kind"];
/// The longest line of a comment.
const WIDTH: usize = 98;

/// One key as the reference tells it.
pub struct Entry {
    /// From the top on, for example `manifests.path`.
    pub path: String,
    /// What it is.
    pub doc: String,
    /// As YAML in one line; `None` where keys of its own follow.
    pub default: Option<String>,
}

/// The default configuration, as a value.
///
/// # Panics
///
/// Never: a test reads the table.
pub fn defaults() -> Value {
    let text = include_str!("../../src/config/defaults.yaml");
    serde_yaml::from_str(text).expect("the table of defaults is YAML")
}

/// Every key, in the order of the code.
pub fn entries(structs: &Structs) -> Vec<Entry> {
    let mut entries = Vec::new();
    collect(structs, "Config", &defaults(), "", &mut entries);
    entries
}

fn collect(structs: &Structs, of: &str, values: &Value, above: &str, entries: &mut Vec<Entry>) {
    for field in structs.get(of).into_iter().flatten() {
        let value = values.get(&field.name).unwrap_or(&Value::Null);
        let below = structs.contains_key(&field.of);
        let path = format!("{above}{}", field.name);
        entries.push(Entry {
            path: path.clone(),
            doc: field.doc.clone(),
            default: (!below || value.is_null()).then(|| in_one_line(value)),
        });
        if below {
            collect(structs, &field.of, value, &format!("{path}."), entries);
        }
    }
}

fn in_one_line(value: &Value) -> String {
    match value {
        Value::Mapping(map) => {
            let items: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", in_one_line(key), in_one_line(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::Sequence(list) => {
            let items: Vec<_> = list.iter().map(in_one_line).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => setlet::api::to_yaml(scalar)
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}

/// The file. A line `#key: value` without its `#` sets the default; prose has a space after the `#`.
pub fn file(structs: &Structs) -> String {
    let mut text = String::from(
        "# The configuration of setlet: every key with its default; setlet.yaml(5) tells more.\n\
         # Take the # before a key away to set it. Drop-ins in config.d, of the same form, are merged\n\
         # over this file in name order; `setlet config` prints the result.\n",
    );
    let defaults = defaults();
    for name in HEAD {
        let value = defaults.get(name).map(in_one_line).unwrap_or_default();
        writeln!(text, "{name}: {value}").expect("memory");
    }
    let fields = structs.get("Config").into_iter().flatten();
    for field in fields.filter(|field| !HEAD.contains(&field.name.as_str())) {
        text.push('\n');
        key(structs, field, &defaults, "", &mut text);
    }
    text
}

fn key(structs: &Structs, field: &Field, values: &Value, indent: &str, text: &mut String) {
    let value = values.get(&field.name).unwrap_or(&Value::Null);
    // At the top `# prose`; below `#  # prose`, a comment still when the key is set.
    let mark = match indent {
        "" => "# ".to_owned(),
        _ => format!("#{indent}# "),
    };
    for line in folded(&field.doc, WIDTH - mark.len()) {
        writeln!(text, "{mark}{line}").expect("memory");
    }
    match structs.get(&field.of).filter(|_| !value.is_null()) {
        Some(below) => {
            writeln!(text, "#{indent}{}:", field.name).expect("memory");
            for field in below {
                key(structs, field, value, &format!("{indent}  "), text);
            }
        }
        None => {
            let pair = Mapping::from_iter([(Value::from(field.name.clone()), value.clone())]);
            for line in setlet::api::to_yaml(&pair).unwrap_or_default().lines() {
                writeln!(text, "#{indent}{line}").expect("memory");
            }
        }
    }
}

fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("one is there");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
