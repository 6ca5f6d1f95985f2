//! The agent put together: what each task is given, how they are started, and how they end.
//!
//! Nothing is decided here. Facts flow one way: sources and node to the coordinator, which tells one
//! worker a pod, the workers' reports back to it, and its view to the server.

mod cgroups;
mod channels;
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
mod kept;
mod ledger;
mod line;
mod log_rotation;
mod logs;
mod newest;
mod notify;
mod order;
mod pins;
mod pods;
pub mod purge;
mod reporter;
mod settings;
mod shutdown;
mod signals;
mod state_disk;
mod supervise;
mod sweep;
mod tasks;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tracing::{info, warn};

pub use error::Error;

use crate::blocking::Blocking;
use crate::clock;
use crate::config::{self, Config, Loaded};
use crate::metrics::Metrics;
use crate::runtime::{self, Runtime, run_preload, run_puller, watch_events};
use crate::server;
use crate::source::{self, SourceMetrics, watch_directory};
use crate::store::Store;
use channels::Channels;
use coordinator::{Coordinator, Inputs};
use events::EventSink;
use hands::Hands;
use kept::Kept;
use newest::Newest;
use notify::Notify;
use shutdown::Shutdown;
use signals::{Signals, Told};
use state_disk::Disk;
use tasks::Tasks;

/// How long tasks have to end when the agent stops; its pods run on.
const DRAIN: Duration = Duration::from_millis(700);
/// Reports that may wait for the coordinator.
const REPORTS: usize = 256;
/// Commands that may wait for the coordinator.
const REQUESTS: usize = 16;

/// Sets the level of the agent's own log.
pub type SetLogLevel = Box<dyn Fn(&str)>;

/// Runs the agent until it is told to stop. `path` is the configuration file that was named, if
/// any; it is read again on SIGHUP and when it changes.
///
/// # Errors
/// What kept it from starting.
pub async fn run(
    config: Config,
    path: Option<PathBuf>,
    set_log_level: SetLogLevel,
) -> Result<(), Error> {
    let agent = start(config, path, set_log_level);
    LocalSet::new().run_until(agent).await
}

async fn start(
    config: Config,
    path: Option<PathBuf>,
    set_log_level: SetLogLevel,
) -> Result<(), Error> {
    let facts = Arc::new(settings::node_facts(&config)?);
    settings::refuse_beside_kubelet(&config)?;
    settings::name_unfollowed(&config);
    settings::make_directories(&config)?;
    let store = Arc::new(Store::open(&config.paths.state)?);
    let socket = server::bind(&config.socket(), Some(&config.socket_group)).await?;
    let kept = Kept::read(&store)?;
    line::begin(&store, &kept);
    let earlier = kept.of_earlier_names(&facts.name);
    let blocking = Blocking::default();
    let options = settings::runtime(&config, &facts, earlier, blocking.clone());
    let (runtime, pulls) = Runtime::new(options)?;
    let metrics = Metrics::new();
    info!(node = %facts.name, version = env!("CARGO_PKG_VERSION"), "the agent starts");

    let config = Arc::new(config);
    let (sink, notes) = EventSink::new();
    let channels = Channels::new(&config, facts, sink, blocking);
    let mut tasks = Tasks::new(channels.cancel.clone());
    line::start(&mut tasks, &channels, &store);
    events::start(&mut tasks, &channels, notes);
    start_runtime(&mut tasks, &channels, &config, &runtime, pulls);
    start_images(&mut tasks, &channels, &config, &runtime);
    log_rotation::start(&mut tasks, &channels, &config, &runtime, &metrics);
    start_source(
        &mut tasks,
        &channels,
        &config,
        &store,
        &metrics,
        set_log_level,
    );
    let (requests, commands) = mpsc::channel(REQUESTS);
    let records = (store, kept);
    let shutdown = start_coordinator(&mut tasks, &channels, &config, &runtime, records, commands)?;
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
            channels.hints.clone(),
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
    let (pinner, blocking) = (runtime.clone(), channels.blocking.clone());
    tasks.start("image archives", async move {
        let tell = |reasons: Vec<_>| reporter.report_archives(&reasons);
        run_preload(&runtime, &blocking, directory, tell, hints, cancel).await;
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
    set_log_level: SetLogLevel,
) {
    let of_source = watch::Sender::new(settings::source(config));
    let (rescan, rescans) = mpsc::channel(1);
    let inputs = source::Inputs {
        settings: of_source.subscribe(),
        rescan: rescans,
        keeper: Box::new(keep::Keeper(Disk::new(
            store,
            &channels.blocking,
            "last good manifests",
        ))),
        metrics: SourceMetrics::new(metrics),
        blocking: channels.blocking.clone(),
    };
    let (snapshot, cancel) = (channels.snapshot.clone(), channels.cancel.clone());
    tasks.start("manifests", async move {
        if let Err(error) = watch_directory(inputs, snapshot, cancel).await {
            warn!(%error, "the manifests directory is no longer read");
        }
    });
    let mut loaded = channels.loaded.subscribe();
    let (node, blocking) = (channels.node.clone(), channels.blocking.clone());
    tasks.start("settings", async move {
        let mut in_force = Arc::clone(&loaded.borrow_and_update().config);
        while loaded.changed().await.is_ok() {
            let Loaded { config, error } = loaded.borrow_and_update().clone();
            if let Some(error) = error {
                warn!("the configuration is not taken over: {error}");
            }
            settings::follow(&in_force, &config, &blocking, &node, &of_source).await;
            set_log_level(config.log.level.as_str());
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
    (store, kept): (Arc<Store>, Kept),
    commands: mpsc::Receiver<server::Request>,
) -> Result<Shutdown, Error> {
    let (reports, reports_of_workers) = mpsc::channel(REPORTS);
    let cri = Hands {
        runtime: runtime.clone(),
        places: Arc::new(settings::places(config)),
        blocking: channels.blocking.clone(),
    };
    let newest = Arc::new(Newest::default());
    let hear = Arc::clone(&newest).hear(reports_of_workers, channels.cancel.clone());
    tasks.start("reports", hear);
    let starter = tasks.starter();
    let start_worker = supervise::starter(channels, cri.clone(), reports, starter);
    let inventory = watch::Sender::new(inventory::Listing::default());
    let (begin, shutdown) = watch::channel(None);
    let (left, to_rest) = watch::channel(None);
    let disk = Disk::new(&store, &channels.blocking, "state directory");
    let swept = Disk::new(&store, &channels.blocking, "pods' directories");
    let inputs = Inputs {
        snapshot: channels.snapshot.subscribe(),
        node: channels.node.subscribe(),
        defaults: settings::follow_defaults(tasks, channels, config),
        inventory: inventory.subscribe(),
        reports: newest,
        commands,
        evictions: disk_limits::start(tasks, channels, config),
        whose: sweep::start(tasks, channels, cri.places.pods_root.clone(), swept),
        shutdown,
        to_rest: left,
        cancel: channels.cancel.clone(),
    };
    let reporter = channels.reporter.clone();
    let order = order::start(tasks, channels);
    let events = channels.sink.clone();
    let clock = clock::steady;
    let (passed, passes) = watch::channel(());
    state_disk::start(tasks, channels, disk.clone(), passes);
    let coordinator = Coordinator::new(disk, kept, start_worker, reporter, events, order, clock);
    let passed = move || passed.send_replace(());
    let run = move || coordinator.run(inputs, notify::beat_every(), passed);
    tasks.start("coordinator", Blocking::thread(run));
    let endpoint = config.container_runtime_endpoint.clone();
    let (hints, cancel) = (channels.hints.clone(), channels.cancel.clone());
    tasks.start(
        "inventory",
        inventory::keep_inventory(cri, endpoint, hints, inventory, cancel),
    );
    Ok(Shutdown { begin, to_rest })
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
    let api = server::Api {
        view: channels.reporter.subscribe(),
        events: channels.events.subscribe(),
        logs: Arc::new(logs::Logs {
            pod_logs: config.paths.pod_logs.clone(),
            watches: runtime::log::Watches::default(),
            blocking: channels.blocking.clone(),
        }),
        exec: Arc::new(execs::Execs(runtime.clone())),
        metrics: gauges::exposer(metrics, channels.blocking.clone()),
        requests,
        clock: clock::wall,
        ahead: clock::ahead,
        shown: server::Shown::default(),
        cancel: channels.cancel.clone(),
    };
    tasks.start("server", server::serve(socket, api));
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
                Told::Reload => {
                    let (done, reloaded) = oneshot::channel();
                    // A full channel already holds the word, and its sender is waited for.
                    if reload.try_send(done).is_ok() {
                        told.reloading(reloaded);
                    }
                }
                stop => return Ok(stop),
            },
            ended = tasks.next_end() => {
                ended.map_err(Error::Task)?;
            }
            Ok(()) = view.changed() => {}
            () = told.reloaded() => {}
        }
    }
}
