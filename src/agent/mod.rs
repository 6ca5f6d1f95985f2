//! The agent put together: what each task is given, how they are started, and how they end.
//!
//! Nothing is decided here. Facts flow one way: sources and node to the coordinator, the coordinator
//! to one worker a pod, the workers' reports back to the coordinator, which publishes the view that
//! the server answers from.

mod coordinator;
mod disk_limits;
mod error;
mod events;
mod execs;
mod gauges;
mod hands;
mod hooks;
mod host;
mod inventory;
mod keep;
mod ledger;
mod log_rotation;
mod logs;
mod notify;
mod order;
mod pins;
mod pods;
mod reporter;
mod settings;
mod shutdown;
mod signals;
mod tasks;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::Error;

use crate::config::{self, Config, Loaded};
use crate::metrics::Metrics;
use crate::model::{DesiredPod, EventLog, NodeFacts, PodReport, SetDefaults, Snapshot};
use crate::runtime::{self, Hint, Runtime, run_preload, run_puller, watch_events};
use crate::server;
use crate::source::{self, SourceMetrics, watch_directory};
use crate::store::Store;
use coordinator::{Coordinator, Inputs, Kept};
use events::EventSink;
use hands::Hands;
use notify::Notify;
use reporter::Reporter;
use shutdown::Shutdown;
use signals::{Signals, Told};
use tasks::Tasks;
use worker::Worker;

/// How long tasks have to end when the agent stops; its pods run on.
const DRAIN: Duration = Duration::from_millis(700);
/// Hints that may wait for a worker that is busy; one that falls behind looks at everything.
const HINTS: usize = 256;
/// Reports that may wait for the coordinator.
const REPORTS: usize = 256;
/// Commands that may wait for the coordinator.
const REQUESTS: usize = 16;

/// Runs the agent until it is told to stop. `path` is the configuration file that was named, if
/// any; it is read again on SIGHUP and when it changes.
///
/// # Errors
/// What kept it from starting.
pub async fn run(config: Config, path: Option<PathBuf>) -> Result<(), Error> {
    LocalSet::new().run_until(start(config, path)).await
}

/// The channels between the agent's tasks.
struct Channels {
    cancel: CancellationToken,
    hints: broadcast::Sender<Hint>,
    loaded: watch::Sender<Loaded>,
    node: watch::Sender<Arc<NodeFacts>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    reporter: Reporter,
    sink: EventSink,
    events: watch::Sender<Arc<EventLog>>,
}

async fn start(config: Config, path: Option<PathBuf>) -> Result<(), Error> {
    let facts = Arc::new(settings::node_facts(&config)?);
    settings::refuse_beside_kubelet(&config)?;
    settings::name_unfollowed(&config);
    settings::make_directories(&config)?;
    let store = Arc::new(Store::open(&config.paths.state)?);
    let socket = server::bind(&config.socket(), Some(&config.socket_group)).await?;
    let (runtime, pulls) = Runtime::new(settings::runtime(&config, &facts))?;
    let metrics = Metrics::new();
    info!(node = %facts.name, version = env!("CARGO_PKG_VERSION"), "the agent starts");

    let config = Arc::new(config);
    let (sink, notes) = EventSink::new();
    let channels = Channels {
        cancel: CancellationToken::new(),
        hints: broadcast::Sender::new(HINTS),
        loaded: watch::Sender::new(Loaded {
            config: Arc::clone(&config),
            error: None,
        }),
        node: watch::Sender::new(facts),
        snapshot: watch::Sender::new(Arc::default()),
        reporter: Reporter::new(Timestamp::now()),
        sink,
        events: events::publisher(Timestamp::now()),
    };
    let mut tasks = Tasks::new(channels.cancel.clone());
    events::start(&mut tasks, &channels, notes);
    start_runtime(&mut tasks, &channels, &config, &runtime, pulls);
    start_images(&mut tasks, &channels, &config, &runtime);
    log_rotation::start(&mut tasks, &channels, &config, &runtime, &metrics);
    start_source(&mut tasks, &channels, &config, &store, &metrics);
    let (requests, commands) = mpsc::channel(REQUESTS);
    let shutdown = start_coordinator(&mut tasks, &channels, &config, &runtime, store, commands)?;
    start_server(
        &mut tasks, &channels, &config, &runtime, socket, &metrics, requests,
    );
    let mut signals = Signals::new().map_err(Error::Signals)?;
    let told = serve_until_told(&mut tasks, &channels, path, &mut signals).await?;
    Notify::stopping();
    let grace = channels.loaded.borrow().config.shutdown_grace_period.0;
    if shutdown::is_wanted(told, grace).await {
        shutdown::rest_pods(shutdown, grace, &mut tasks, &mut signals).await?;
        info!("the agent stops");
    } else {
        info!("the agent stops; its pods run on");
    }
    tasks.drain(DRAIN).await;
    Ok(())
}

/// The tasks around the runtime: events, pulls and what translation must know.
fn start_runtime(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
    runtime: &Runtime,
    pulls: runtime::PullRequests,
) {
    let (events, hints, cancel) = (
        runtime.clone(),
        channels.hints.clone(),
        channels.cancel.clone(),
    );
    tasks.start("events", async move {
        watch_events(&events, hints, cancel).await
    });
    let (puller, hints, cancel) = (
        runtime.clone(),
        channels.hints.clone(),
        channels.cancel.clone(),
    );
    let credentials = settings::credentials(config);
    tasks.start("pulls", async move {
        run_puller(&puller, pulls, hints, credentials, cancel).await
    });
    tasks.start(
        "host",
        host::keep_host(
            runtime.clone(),
            channels.node.subscribe(),
            channels.hints.subscribe(),
            channels.reporter.clone(),
            channels.cancel.clone(),
        ),
    );
}

/// The import of image archives, and the pins of images that are wanted.
fn start_images(tasks: &mut Tasks, channels: &Channels, config: &Config, runtime: &Runtime) {
    let (runtime, directory) = (runtime.clone(), config.paths.images.clone());
    let reporter = channels.reporter.clone();
    let (hints, cancel) = (channels.hints.clone(), channels.cancel.clone());
    let pinner = runtime.clone();
    tasks.start("image archives", async move {
        let tell = |reasons: Vec<_>| reporter.report_archives(&reasons);
        run_preload(&runtime, directory, tell, hints, cancel).await;
    });
    let wanted = watch::Sender::new(None);
    let (images, hints, cancel) = (
        wanted.subscribe(),
        channels.hints.subscribe(),
        channels.cancel.clone(),
    );
    tasks.start("pins", async move {
        runtime::keep_pinned(&pinner, images, hints, cancel).await;
    });
    let view = channels.reporter.subscribe();
    tasks.start(
        "wanted images",
        pins::keep_wanted(view, wanted, channels.cancel.clone()),
    );
}

/// The manifests directory, with settings that follow the configuration.
fn start_source(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
    store: &Arc<Store>,
    metrics: &Metrics,
) {
    let of_source = watch::Sender::new(settings::source(config));
    let (rescan, rescans) = mpsc::channel(1);
    let inputs = source::Inputs {
        settings: of_source.subscribe(),
        rescan: rescans,
        keeper: Box::new(keep::Keeper(Arc::clone(store))),
        metrics: SourceMetrics::new(metrics),
    };
    let (snapshot, cancel) = (channels.snapshot.clone(), channels.cancel.clone());
    tasks.start("manifests", async move {
        if let Err(error) = watch_directory(inputs, snapshot, cancel).await {
            warn!(%error, "the manifests directory is no longer read");
        }
    });
    let mut loaded = channels.loaded.subscribe();
    let node = channels.node.clone();
    tasks.start("settings", async move {
        let mut in_force = Arc::clone(&loaded.borrow_and_update().config);
        while loaded.changed().await.is_ok() {
            let Loaded { config, error } = loaded.borrow_and_update().clone();
            if let Some(error) = error {
                warn!("the configuration is not taken over: {error}");
            }
            settings::follow(&in_force, &config, &node, &of_source);
            in_force = config;
            rescan.try_send(()).ok();
        }
    });
}

/// The coordinator, the inventory and, through the coordinator, the workers.
fn start_coordinator(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
    runtime: &Runtime,
    store: Arc<Store>,
    commands: mpsc::Receiver<server::Request>,
) -> Result<Shutdown, Error> {
    let (pods, corrupt_pods) = store.pods()?;
    let (sets, corrupt_sets) = store.sets()?;
    for found in corrupt_pods.iter().chain(&corrupt_sets) {
        warn!("{found}");
    }
    let (reports, reports_of_workers) = mpsc::channel(REPORTS);
    let cri = Hands {
        runtime: runtime.clone(),
        places: Arc::new(settings::places(config)),
    };
    let starter = tasks.starter();
    let start_worker = worker_starter(channels, cri.clone(), reports, starter);
    let inventory = watch::Sender::new((None, None));
    let (begin, shutdown) = watch::channel(None);
    let (left, to_rest) = watch::channel(None);
    let inputs = Inputs {
        snapshot: channels.snapshot.subscribe(),
        node: channels.node.subscribe(),
        defaults: follow_defaults(tasks, channels, config),
        inventory: inventory.subscribe(),
        reports: reports_of_workers,
        commands,
        evictions: disk_limits::start(tasks, channels, config),
        shutdown,
        to_rest: left,
        cancel: channels.cancel.clone(),
    };
    let reporter = channels.reporter.clone();
    let kept = Kept { pods, sets };
    let order = order::start(tasks, channels);
    let events = channels.sink.clone();
    let clock = Timestamp::now;
    let coordinator = Coordinator::new(store, kept, start_worker, reporter, events, order, clock);
    tasks.start(
        "coordinator",
        coordinator.run(inputs, notify::beat_every(), notify::beat),
    );
    let endpoint = config.container_runtime_endpoint.clone();
    let (hints, cancel) = (channels.hints.clone(), channels.cancel.clone());
    tasks.start(
        "inventory",
        inventory::keep_inventory(cri, endpoint, hints, inventory, cancel),
    );
    Ok(Shutdown { begin, to_rest })
}

/// Makes the function that starts a pod's worker.
fn worker_starter(
    channels: &Channels,
    cri: Hands,
    reports: mpsc::Sender<PodReport>,
    starter: tasks::Starter,
) -> coordinator::StartWorker {
    let (hints, cancel) = (channels.hints.clone(), channels.cancel.clone());
    let events = channels.sink.clone();
    Box::new(move |want: watch::Receiver<Arc<DesiredPod>>| {
        let worker = Worker {
            cri: cri.clone(),
            want,
            hints: hints.subscribe(),
            reports: reports.clone(),
            events: events.clone(),
            clock: Timestamp::now,
            cancel: cancel.clone(),
        };
        starter.start(worker.run());
    })
}

/// What the configuration gives every set, as it changes.
fn follow_defaults(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
) -> watch::Receiver<SetDefaults> {
    let defaults = watch::Sender::new(settings::set_defaults(config));
    let newest = defaults.subscribe();
    let mut loaded = channels.loaded.subscribe();
    tasks.start("set defaults", async move {
        while loaded.changed().await.is_ok() {
            let value = settings::set_defaults(&loaded.borrow_and_update().config);
            defaults.send_if_modified(|old| std::mem::replace(old, value) != value);
        }
    });
    newest
}

fn start_server(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
    runtime: &Runtime,
    socket: tokio::net::UnixListener,
    metrics: &Metrics,
    requests: mpsc::Sender<server::Request>,
) {
    let gauges = gauges::Gauges::new(metrics);
    let (view, cancel) = (channels.reporter.subscribe(), channels.cancel.clone());
    tasks.start("gauges", gauges.follow(view, cancel));
    let metrics = metrics.clone();
    let api = server::Api {
        view: channels.reporter.subscribe(),
        events: channels.events.subscribe(),
        logs: Arc::new(logs::Logs {
            pod_logs: config.paths.pod_logs.clone(),
        }),
        exec: Arc::new(execs::Execs(runtime.clone())),
        metrics: Arc::new(move || metrics.expose()),
        requests,
        clock: Timestamp::now,
        cancel: channels.cancel.clone(),
    };
    tasks.start("server", async move {
        if let Err(error) = server::serve(socket, api).await {
            warn!(%error, "the socket is no longer served");
        }
    });
}

/// Hears signals, tells the service manager, and reads the configuration again, until told to stop.
async fn serve_until_told(
    tasks: &mut Tasks,
    channels: &Channels,
    path: Option<PathBuf>,
    signals: &mut Signals,
) -> Result<Told, Error> {
    let (reload, reloads) = mpsc::channel(1);
    let (loaded, cancel) = (channels.loaded.clone(), channels.cancel.clone());
    tasks.start("configuration", async move {
        if let Err(error) = config::watch(path, reloads, loaded, cancel).await {
            warn!(%error, "changes of the configuration are seen on SIGHUP only");
        }
    });
    let mut view = channels.reporter.subscribe();
    let mut told = Notify::default();
    loop {
        told.tell(&view.borrow_and_update().clone());
        tokio::select! {
            signal = signals.next() => match signal {
                Told::Reload => drop(reload.try_send(())),
                stop => return Ok(stop),
            },
            ended = tasks.next_end() => {
                ended.map_err(Error::Task)?;
            }
            Ok(()) = view.changed() => {}
        }
    }
}
