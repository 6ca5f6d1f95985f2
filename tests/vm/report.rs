//! What each step came to: a table at the end, and a JUnit file.

use std::any::Any;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The steps that were run, in order.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    /// The message of a step that failed.
    failure: Option<String>,
}

impl Report {
    /// Runs a step; nothing where it fails.
    pub fn time<T>(&mut self, name: &str, step: impl FnOnce() -> T) -> Option<T> {
        let begin = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(step)).map_err(message);
        let took = begin.elapsed();
        let word = if done.is_ok() { "ok" } else { "FAILED" };
        println!("{word:6} {:6.1} s  {name}", took.as_secs_f64());
        let (done, failure) = match done {
            Ok(done) => (Some(done), None),
            Err(failure) => (None, Some(failure)),
        };
        self.steps.push(Step {
            name: name.to_owned(),
            took,
            failure,
        });
        done
    }

    /// Writes the JUnit file and the sum, in the words of Rust's own test runner.
    pub fn finish(self) -> ExitCode {
        let failed = self
            .steps
            .iter()
            .filter(|step| step.failure.is_some())
            .count();
        let passed = self.steps.len() - failed;
        for step in &self.steps {
            if let Some(failure) = &step.failure {
                println!("\nfailed: {}\n{failure}", step.name);
            }
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/vm");
        std::fs::create_dir_all(&dir).expect("target/vm");
        std::fs::write(dir.join("junit.xml"), self.junit(failed)).expect("target/vm/junit.xml");
        let word = if failed == 0 { "ok" } else { "FAILED" };
        println!("\ntest result: {word}. {passed} passed; {failed} failed");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn junit(&self, failed: usize) -> String {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"vm\" tests=\"{}\" failures=\"{failed}\">\n",
            self.steps.len()
        );
        for step in &self.steps {
            let (name, seconds) = (escaped(&step.name), step.took.as_secs_f64());
            write!(xml, "  <testcase name=\"{name}\" time=\"{seconds:.1}\"").expect("text");
            match &step.failure {
                None => xml.push_str("/>\n"),
                Some(failure) => {
                    let failure = escaped(failure);
                    writeln!(xml, ">\n    <failure>{failure}</failure>\n  </testcase>")
                        .expect("text");
                }
            }
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// What a panic says.
fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast::<&str>()
            .map_or_else(|_| "a panic".to_owned(), |text| (*text).to_owned()),
    }
}

/// Text for XML; characters that XML does not have are left out.
fn escaped(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\n' | '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let text: String = text.chars().filter(allowed).collect();
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
