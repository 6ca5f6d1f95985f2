//! The figures, in the order they were measured, and how each stands to its target.

use std::fmt;
use std::time::Duration;

/// One figure.
struct Row {
    what: String,
    agent: String,
    raw: String,
    figure: String,
    target: String,
    held: bool,
}

/// All figures.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Two durations side by side, and the most that the first may be of the second.
    pub fn ratio(&mut self, what: &str, agent: &[Duration], raw: &[Duration], most: f64) {
        let (agent, raw) = (median(agent), median(raw));
        let ratio = agent.as_secs_f64() / raw.as_secs_f64();
        self.0.push(Row {
            what: what.to_owned(),
            agent: millis(agent),
            raw: millis(raw),
            figure: format!("{ratio:.2}"),
            target: format!("<= {most:.2}"),
            held: ratio <= most,
        });
    }

    /// Two durations side by side that nothing is demanded of.
    pub fn beside(&mut self, what: &str, other: &[Duration], raw: &[Duration]) {
        let (other, raw) = (median(other), median(raw));
        self.0.push(Row {
            what: what.to_owned(),
            agent: millis(other),
            raw: millis(raw),
            figure: format!("{:.2}", other.as_secs_f64() / raw.as_secs_f64()),
            target: String::new(),
            held: true,
        });
    }

    /// A row of what was not run.
    pub fn not_run(&mut self, what: &str) {
        self.0.push(Row {
            what: what.to_owned(),
            agent: String::new(),
            raw: String::new(),
            figure: "not run".to_owned(),
            target: String::new(),
            held: true,
        });
    }

    /// A figure of the agent alone, and the most that it may be.
    pub fn figure(&mut self, what: &str, figure: f64, most: f64, unit: &str) {
        self.0.push(Row {
            what: what.to_owned(),
            agent: String::new(),
            raw: String::new(),
            figure: format!("{figure:.2} {unit}"),
            target: format!("<= {most} {unit}"),
            held: figure <= most,
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<58} {:>9} {:>9} {:>12} {:>12}",
            "", "agent", "raw", "figure", "target"
        )?;
        for row in &self.0 {
            writeln!(
                f,
                "{:<58} {:>9} {:>9} {:>12} {:>12}{}",
                row.what,
                row.agent,
                row.raw,
                row.figure,
                row.target,
                if row.held { "" } else { "  MISSED" },
            )?;
        }
        Ok(())
    }
}

/// The middle one.
pub fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
