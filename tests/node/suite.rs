//! Collects trials and runs them: those that share a containerd side by side, then those that
//! need one of their own one after the other. Takes every containerd down again, also on a signal,
//! and fails when something of one is left.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::harness::containerd::{self, Containerd};

/// Trials that run at the same time, one a core of a small machine; each starts an agent and a handful of pods.
const TOGETHER: usize = 2;

/// The containerd that trials share, started by the first that asks.
type Shared = Arc<Mutex<Option<Arc<Containerd>>>>;

/// The trials of all topics.
pub struct Suite {
    shared: Shared,
    together: Vec<Trial>,
    alone: Vec<Trial>,
}

impl Suite {
    /// A suite without trials.
    pub fn new() -> Self {
        Self {
            shared: Shared::default(),
            together: Vec::new(),
            alone: Vec::new(),
        }
    }

    /// Adds a trial that runs beside others on the shared containerd. It must neither stop that
    /// containerd nor count what is not its own.
    pub fn together(&mut self, name: &str, trial: fn(&Arc<Containerd>)) {
        let shared = Arc::clone(&self.shared);
        self.together.push(Trial::test(name, move || {
            trial(&get(&shared)?);
            Ok(())
        }));
    }

    /// Adds a trial that runs with no other at the same time and starts a containerd of its own.
    pub fn alone(&mut self, name: &str, trial: fn()) {
        self.alone.push(Trial::test(name, move || {
            trial();
            Ok(())
        }));
    }

    /// Runs the trials that the command line asks for.
    pub fn run(self) -> ExitCode {
        let mut args = Arguments::from_args();
        let trials = |name: &str| self.alone.iter().any(|trial| trial.name() == name);
        debug_assert!(
            !self.together.iter().any(|trial| trials(trial.name())),
            "trial names are unique"
        );
        if args.list {
            let all = self.together.into_iter().chain(self.alone).collect();
            return libtest_mimic::run(&args, all).exit_code();
        }
        containerd::destroy_on_signal();

        args.test_threads = Some(args.test_threads.unwrap_or(TOGETHER).min(TOGETHER));
        let together = libtest_mimic::run(&args, self.together);
        let clean = take_down(&self.shared);

        args.test_threads = Some(1);
        let alone = libtest_mimic::run(&args, self.alone);
        if clean && !together.has_failed() && !alone.has_failed() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(101)
        }
    }
}

/// The shared containerd. When it cannot be started each trial says why, instead of waiting.
fn get(shared: &Shared) -> Result<Arc<Containerd>, Failed> {
    let mut shared = shared
        .lock()
        .map_err(|_| "the shared containerd did not start, see the first failure")?;
    Ok(Arc::clone(
        shared.get_or_insert_with(|| Arc::new(Containerd::launch())),
    ))
}

/// Destroys the shared containerd and says whether nothing of it is left.
fn take_down(shared: &Shared) -> bool {
    let Some(containerd) = shared.lock().ok().and_then(|mut shared| shared.take()) else {
        return true;
    };
    let base = containerd.base().to_owned();
    drop(containerd);
    let left = containerd::leftovers(&base);
    if !left.is_empty() {
        eprintln!("left behind by the shared containerd:\n{left}");
    }
    left.is_empty()
}
