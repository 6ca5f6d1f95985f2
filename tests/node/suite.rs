//! Collects trials and runs them: those that share a containerd side by side, then those that
//! need one of their own one after the other. A trial that fails runs once more, alone, after the
//! others: see [`Suite::run`]. Takes every containerd down again, also on a signal, and fails when
//! something of one is left.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::harness::containerd::{self, Containerd};

/// Trials that run at the same time, one a core of a small machine; each starts an agent and a handful of pods.
const TOGETHER: usize = 2;
/// Trials that may pass only when they run again. One more fails the run.
const FLAKY: usize = 2;
/// How many of the slowest trials the summary lists.
const SLOWEST: usize = 10;

/// Where `SETLET_TEST_TRIALS=runtime` leaves out the topics that do not depend on the runtime.
const TRIALS: &str = "SETLET_TEST_TRIALS";

/// The containerd that trials share, started by the first that asks.
type Shared = Arc<Mutex<Option<Arc<Containerd>>>>;

/// Whether the outcome of a topic's trials can differ between versions of containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    /// It can: these run on every version.
    OnRuntime,
    /// It cannot: one version is enough for continuous integration.
    OnAgentAlone,
}

/// What a trial runs.
#[derive(Clone, Copy)]
enum Body {
    /// Beside others, on the shared containerd.
    Together(fn(&Arc<Containerd>)),
    /// With no other at the same time, on a containerd of its own.
    Alone(fn()),
}

/// A trial by its name.
#[derive(Clone)]
struct Known {
    name: String,
    body: Body,
}

/// What the first run of the trials came to.
#[derive(Default)]
struct Outcomes {
    /// The message of each trial that failed.
    failed: BTreeMap<String, String>,
    /// How long each trial took.
    took: Vec<(Duration, String)>,
}

/// The trials of all topics.
pub struct Suite {
    shared: Shared,
    trials: Vec<Known>,
    /// Whether topics that do not depend on the runtime are left out.
    runtime_only: bool,
}

impl Suite {
    /// A suite without trials.
    ///
    /// # Panics
    ///
    /// When `SETLET_TEST_TRIALS` is neither `all` nor `runtime`.
    pub fn new() -> Self {
        let asked = std::env::var(TRIALS).unwrap_or_default();
        let runtime_only = match asked.as_str() {
            "" | "all" => false,
            "runtime" => true,
            other => panic!("{TRIALS} is {other:?}: `all` or `runtime` is possible"),
        };
        Self {
            shared: Shared::default(),
            trials: Vec::new(),
            runtime_only,
        }
    }

    /// Adds the trials of a topic.
    pub fn topic(&mut self, depends: Depends, register: fn(&mut Self)) {
        if depends == Depends::OnRuntime || !self.runtime_only {
            register(self);
        }
    }

    /// Adds a trial that runs beside others on the shared containerd. It must neither stop that
    /// containerd nor count what is not its own.
    pub fn together(&mut self, name: &str, trial: fn(&Arc<Containerd>)) {
        self.add(name, Body::Together(trial));
    }

    /// Adds a trial that runs with no other at the same time and starts a containerd of its own.
    pub fn alone(&mut self, name: &str, trial: fn()) {
        self.add(name, Body::Alone(trial));
    }

    fn add(&mut self, name: &str, body: Body) {
        assert!(
            self.trials.iter().all(|known| known.name != name),
            "the trial {name} is there twice"
        );
        let name = name.to_owned();
        self.trials.push(Known { name, body });
    }

    /// Runs the trials that the command line asks for. A trial that fails runs once more, alone,
    /// after the others. When it passes then, it is listed as flaky, both messages are kept in
    /// `flaky` below the target directory, and the run passes. The run fails when a trial fails
    /// twice, or when more than [`FLAKY`] are flaky.
    pub fn run(self) -> ExitCode {
        let mut args = Arguments::from_args();
        let outcomes = Arc::new(Mutex::new(Outcomes::default()));
        let (together, alone): (Vec<_>, Vec<_>) = self
            .trials
            .iter()
            .cloned()
            .partition(|known| matches!(known.body, Body::Together(_)));
        let first = |known: Known| first_run(known, &self.shared, &outcomes);
        let together: Vec<_> = together.into_iter().map(first).collect();
        let alone: Vec<_> = alone.into_iter().map(first).collect();
        if args.list {
            let all = together.into_iter().chain(alone).collect();
            return libtest_mimic::run(&args, all).exit_code();
        }
        containerd::destroy_on_signal();

        args.test_threads = Some(args.test_threads.unwrap_or(TOGETHER).min(TOGETHER));
        let _ = libtest_mimic::run(&args, together);
        let mut clean = take_down(&self.shared);
        args.test_threads = Some(1);
        let _ = libtest_mimic::run(&args, alone);

        let Outcomes { failed, took } = std::mem::take(&mut *lock(&outcomes));
        list_slowest(took);
        let passes = failed.is_empty() || self.run_again(&args, &failed, &outcomes);
        clean &= take_down(&self.shared);
        if clean && passes {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(101)
        }
    }

    /// Runs the trials that failed once more, and says whether the run passes.
    fn run_again(
        &self,
        args: &Arguments,
        failed: &BTreeMap<String, String>,
        outcomes: &Arc<Mutex<Outcomes>>,
    ) -> bool {
        println!("\n{} failed and run once more, alone", failed.len());
        let chosen = self
            .trials
            .iter()
            .filter(|known| failed.contains_key(&known.name));
        let again = chosen
            .map(|known| second_run(known.clone(), &self.shared, outcomes))
            .collect();
        // Whether it failed is known from `outcomes`, by name.
        let _ = libtest_mimic::run(args, again);
        let twice = std::mem::take(&mut lock(outcomes).failed);
        let mut flaky = 0;
        for (name, message) in failed {
            let second = twice.get(name);
            let kept = keep(name, message, second.map(String::as_str));
            match second {
                Some(_) => println!("failed twice: {name}; see {}", kept.display()),
                None => {
                    flaky += 1;
                    println!("flaky: {name}; see {}", kept.display());
                }
            }
        }
        if flaky > FLAKY {
            println!("{flaky} trials are flaky, more than {FLAKY}: the run fails");
        }
        twice.is_empty() && flaky <= FLAKY
    }
}

/// The first run of a trial. A failure is remembered and counts as ignored for now.
fn first_run(known: Known, shared: &Shared, outcomes: &Arc<Mutex<Outcomes>>) -> Trial {
    let (shared, outcomes) = (Arc::clone(shared), Arc::clone(outcomes));
    Trial::ignorable_test(known.name.clone(), move || {
        let began = Instant::now();
        let result = carry_out(known.body, &shared);
        let mut outcomes = lock(&outcomes);
        outcomes.took.push((began.elapsed(), known.name.clone()));
        Ok(match result {
            Ok(()) => Completion::Completed,
            Err(message) => {
                eprintln!("failed: {}: {message}", known.name);
                outcomes.failed.insert(known.name, message);
                Completion::ignored_with("it failed and runs again")
            }
        })
    })
}

/// The second run, which decides.
fn second_run(known: Known, shared: &Shared, outcomes: &Arc<Mutex<Outcomes>>) -> Trial {
    let (shared, outcomes) = (Arc::clone(shared), Arc::clone(outcomes));
    Trial::test(known.name.clone(), move || {
        carry_out(known.body, &shared).map_err(|message| {
            lock(&outcomes).failed.insert(known.name, message.clone());
            Failed::from(message)
        })
    })
}

/// Runs a trial, and gives the message of its panic.
fn carry_out(body: Body, shared: &Shared) -> Result<(), String> {
    let run = || match body {
        Body::Together(trial) => get(shared).map(|containerd| trial(&containerd)),
        Body::Alone(trial) => {
            trial();
            Ok(())
        }
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "it panicked without a message".to_owned()))
    })
}

/// Keeps what both runs of a trial said, and returns where.
fn keep(name: &str, first: &str, second: Option<&str>) -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let target = program.ancestors().nth(3).expect("target/PROFILE/deps/");
    let directory = target.join("flaky");
    std::fs::create_dir_all(&directory).expect("a directory for what failed");
    let name = format!("{}-{}.log", name.replace("::", "-"), std::process::id());
    let path = directory.join(name);
    let second = second.unwrap_or("it passed");
    std::fs::write(
        &path,
        format!("first run:\n{first}\n\nsecond run:\n{second}\n"),
    )
    .expect("what failed is kept");
    path
}

/// Prints which trials took longest.
fn list_slowest(mut took: Vec<(Duration, String)>) {
    took.sort_by(|a, b| b.cmp(a));
    if took.len() > SLOWEST {
        println!("\nslowest trials:");
        for (time, name) in took.iter().take(SLOWEST) {
            println!("{:>7.1} s  {name}", time.as_secs_f64());
        }
    }
}

/// What a trial that panicked held is still whole: nothing panics while it writes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared containerd. When it cannot be started each trial says why, instead of waiting.
fn get(shared: &Shared) -> Result<Arc<Containerd>, String> {
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
