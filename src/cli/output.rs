//! Tables for people, JSON and YAML for programs.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

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
        Format::Yaml => serde_yaml::to_writer(out, value)?,
    }
    Ok(())
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
