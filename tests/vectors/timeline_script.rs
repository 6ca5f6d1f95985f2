//! What the commands of the recorded pods do, as far as it matters: how long they run, how they end,
//! and what they do on SIGTERM.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Container;
use setlet::model::DesiredPod;

/// A container's command, or a hook's.
pub struct Script {
    text: String,
}

impl Script {
    /// Those of a pod's containers, by name.
    pub fn of_pod(pod: &DesiredPod) -> BTreeMap<String, Self> {
        let spec = pod.spec();
        let all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let script = |c: &Container| Self::new(c.command.as_deref().unwrap_or_default());
        all.map(|c| (c.name.clone(), script(c))).collect()
    }

    /// Of the words of a command.
    pub fn new(command: &[String]) -> Self {
        let text = match command {
            [sh, c, text, ..] if sh == "sh" && c == "-c" => text.clone(),
            words => words.join(" "),
        };
        Self { text }
    }

    /// The handler of SIGTERM, and the rest.
    fn parts(&self) -> (Option<&str>, String) {
        let trap = self.text.find("trap '").and_then(|at| {
            let (handler, _) = self.text[at + 6..].split_once('\'')?;
            Some((at, handler))
        });
        match trap {
            None => (None, self.text.clone()),
            Some((at, handler)) => {
                let after = at + 6 + handler.len() + 1;
                let rest = format!("{}{}", &self.text[..at], &self.text[after..]);
                (Some(handler), rest)
            }
        }
    }

    /// How long an attempt runs by itself, and its exit status; `None` for ever.
    pub fn life(&self, attempt: u32) -> Option<(Duration, i32)> {
        if self.text.contains("| tail") {
            // Runs out of memory, and finds a file of its own making the next time.
            return (attempt == 0).then_some((Duration::from_secs(10), 137));
        }
        let (_, rest) = self.parts();
        let goes_on = rest.contains("while") || rest.contains("sleep 3600");
        (!goes_on).then(|| statements(&rest))
    }

    /// How long it takes to end on SIGTERM, and its exit status; `None` when it does not.
    pub fn term(&self) -> Option<(Duration, i32)> {
        let (handler, _) = self.parts();
        handler
            .filter(|handler| !handler.is_empty())
            .map(statements)
    }

    /// Whether a probe's command succeeds in a container that has run so long.
    pub fn answers(&self, command: &[String], age: SignedDuration) -> bool {
        let probe = Self::new(command);
        if probe.text.starts_with("test -f") {
            // The file is there until the script removes it.
            let removed = self.text.find("(sleep ").map(|at| &self.text[at + 7..]);
            let removed = removed.and_then(|rest| rest.split(';').next()?.trim().parse().ok());
            return removed.is_none_or(|seconds| age.as_secs() < seconds);
        }
        probe.life(0).is_none_or(|(_, code)| code == 0)
    }
}

/// The time and the status of `sleep N; exit M`.
fn statements(text: &str) -> (Duration, i32) {
    let mut time = Duration::ZERO;
    let mut code = 0;
    for statement in text.split(';').map(str::trim) {
        match statement.split_once(' ') {
            Some(("sleep", seconds)) => {
                let seconds = seconds.parse().unwrap_or(0.0);
                time += Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            Some(("exit", status)) => code = status.parse().unwrap_or(0),
            _ if statement == "false" => code = 1,
            _ => {}
        }
    }
    (time, code)
}
