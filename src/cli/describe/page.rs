//! A page of labelled values, lined up under each other as kubectl's descriptions are.

use std::io::{self, Write};

/// What stands for nothing.
pub(super) const NONE: &str = "<none>";

/// A page that is written from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    depth: usize,
    label: Option<String>,
    value: String,
}

impl Page {
    /// A labelled value; lines that follow at the same depth stand under it.
    pub(super) fn field(&mut self, depth: usize, label: &str, value: impl Into<String>) {
        self.lines.push(Line {
            depth,
            label: Some(format!("{label}:")),
            value: value.into(),
        });
    }

    /// A labelled value, where there is one.
    pub(super) fn some(&mut self, depth: usize, label: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(depth, label, value);
        }
    }

    /// Values under each other behind one label, `<none>` where there are none.
    pub(super) fn list(&mut self, depth: usize, label: &str, values: Vec<String>) {
        let mut values = values.into_iter();
        self.field(
            depth,
            label,
            values.next().unwrap_or_else(|| NONE.to_owned()),
        );
        for value in values {
            self.lines.push(Line {
                depth,
                label: Some(String::new()),
                value,
            });
        }
    }

    /// A line that is nobody's value.
    pub(super) fn text(&mut self, depth: usize, text: impl Into<String>) {
        self.lines.push(Line {
            depth,
            label: None,
            value: text.into(),
        });
    }

    /// Lines under each other, their cells lined up.
    pub(super) fn table(&mut self, depth: usize, rows: &[Vec<String>]) {
        for line in crate::cli::output::align(rows) {
            self.text(depth, line);
        }
    }

    /// Writes the page.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rest = &self.lines[..];
        while let Some(first) = rest.first() {
            let alike = |line: &&Line| {
                line.depth == first.depth && line.label.is_some() == first.label.is_some()
            };
            let run = rest.iter().take_while(alike).count();
            let (block, after) = rest.split_at(run);
            let values = block.iter().filter(|line| !line.value.is_empty());
            let labels = values.filter_map(|line| Some(line.label.as_ref()?.chars().count()));
            let width = labels.max().unwrap_or(0);
            for Line {
                depth,
                label,
                value,
            } in block
            {
                let indent = " ".repeat(depth * 2);
                let line = match label {
                    Some(label) => format!("{indent}{label:width$}  {value}"),
                    None => format!("{indent}{value}"),
                };
                writeln!(out, "{}", line.trim_end())?;
            }
            rest = after;
        }
        Ok(())
    }
}

/// `key=value` of each pair.
pub(super) fn pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    between: &str,
) -> Vec<String> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| format!("{key}{between}{value}"))
        .collect()
}

/// A moment as kubectl writes it, in UTC.
pub(super) fn moment(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> String {
    time.0.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
