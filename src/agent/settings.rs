//! From the configuration to what each room is given; the one place that knows both.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::Channels;
use super::error::Error;
use super::hands::Places;
use super::host;
use super::tasks::Tasks;
use crate::api::Uid;
use crate::blocking::{Blocking, Lane};
use crate::clock;
use crate::config::Config;
use crate::model::{BackOff, NodeFacts, Reason, RolloutDefaults, SetDefaults, Taint, TaintEffect};
use crate::runtime::files::resolver;
use crate::runtime::{self, translate};
use crate::source::{self, Writers};
use crate::{config, node};

/// What the node is, with the configuration's labels and taints.
pub fn node_facts(config: &Config) -> Result<NodeFacts, Error> {
    let settings = node::Settings {
        name: config.node_name.clone(),
        labels: config.node_labels.clone(),
        taints: config.node_taints.iter().map(taint).collect(),
        state: config.paths.state.clone(),
        reserved_cpu_millis: config.reserved.cpu.0,
        reserved_memory_bytes: config.reserved.memory.0,
        reserved_pids: config.reserved.pid,
    };
    let mut facts = node::facts(&settings)?;
    facts.notes = notes(config)?;
    Ok(facts)
}

fn taint(taint: &config::Taint) -> Taint {
    Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: match taint.effect {
            config::Effect::NoSchedule => TaintEffect::NoSchedule,
            config::Effect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
            config::Effect::NoExecute => TaintEffect::NoExecute,
        },
    }
}

/// A kubelet on the same runtime would remove every pod the agent makes, so the agent does not
/// start beside one.
pub fn refuse_beside_kubelet(config: &Config) -> Result<(), Error> {
    let kubelets = node::kubelet::find(&config.container_runtime_endpoint)?;
    node::kubelet::conflict(&kubelets).map_or(Ok(()), |why| Err(Error::Kubelet(why)))
}

/// What of the machine may become trouble for pods, though nothing keeps the agent from running.
fn notes(config: &Config) -> Result<Vec<Reason>, Error> {
    let kubelets = node::kubelet::find(&config.container_runtime_endpoint)?;
    let mut notes = node::kubelet::doubts(&kubelets);
    notes.extend(resolver::doubt(&config.resolv_conf));
    for note in &notes {
        warn!("{note}");
    }
    Ok(notes)
}

/// Says which settings ask for what this version does not do.
pub fn name_unfollowed(config: &Config) {
    let defaults = Config::defaults();
    let unfollowed = [
        ("kubernetes", config.kubernetes != defaults.kubernetes),
        ("imageGC", config.image_gc != defaults.image_gc),
        (
            "evictionHard",
            config.eviction_hard != defaults.eviction_hard,
        ),
    ];
    for (field, _) in unfollowed.iter().filter(|(_, changed)| *changed) {
        warn!(field, "this version does not follow this setting");
    }
}

/// Makes the directories that the agent writes to and nothing else makes.
pub fn make_directories(config: &Config) -> Result<(), Error> {
    let paths = &config.paths;
    for path in [
        &paths.run,
        &paths.pod_logs,
        &paths.container_logs,
        &paths.images,
    ] {
        make(path)?;
    }
    host::keep_from_shutdown(&config.cgroup_root.to_string_lossy());
    Ok(())
}

/// Makes a directory that everybody may read; one that is there is left as it is.
fn make(path: &Path) -> Result<(), Error> {
    crate::runtime::files::make_directory(path, 0o755).map_err(|source| Error::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Where pods' volumes and logs lie.
pub fn places(config: &Config) -> Places {
    Places {
        pods_root: config.paths.state.join("pods"),
        pod_logs: config.paths.pod_logs.clone(),
        container_logs: config.paths.container_logs.clone(),
    }
}

/// What the runtime's handle is made of.
pub fn runtime(
    config: &Config,
    node: &Arc<NodeFacts>,
    earlier: BTreeSet<Uid>,
    blocking: Blocking,
) -> runtime::Options {
    runtime::Options {
        endpoint: config.container_runtime_endpoint.clone(),
        request_timeout: config.runtime_request_timeout.0,
        parallel_pulls: usize::try_from(config.image_pull.max_parallel).unwrap_or(usize::MAX),
        node: node.name.clone(),
        earlier,
        container_logs: config.paths.container_logs.clone(),
        preload: true,
        host: translate::Host {
            node: Arc::clone(node),
            pods_root: config.paths.state.join("pods"),
            pod_logs: config.paths.pod_logs.clone(),
            cgroup_root: config.cgroup_root.display().to_string(),
            cgroup_driver: host::first_guess(),
            resolv_conf: config.resolv_conf.clone(),
            features: translate::RuntimeFeatures {
                apparmor: Path::new("/sys/kernel/security/apparmor/profiles").exists(),
                selinux: Path::new("/sys/fs/selinux/enforce").exists(),
                cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
                swap: runtime::cgroup::bounds_swap(),
                ..translate::RuntimeFeatures::default()
            },
            settings: pod_settings(config),
        },
        blocking,
        clock: clock::steady,
    }
}

/// Kubelet's settings that shape pods.
fn pod_settings(config: &Config) -> translate::PodSettings {
    let enforced = &config.enforce_node_allocatable;
    translate::PodSettings {
        seccomp_root: config.paths.state.join("seccomp"),
        pod_pids_limit: u64::try_from(config.pod_pids_limit).ok(),
        enforce_node_allocatable: enforced.contains(&config::Enforcement::Pods),
        swap_behavior: match config.memory_swap.swap_behavior {
            config::SwapBehavior::NoSwap => translate::SwapBehavior::NoSwap,
            config::SwapBehavior::LimitedSwap => translate::SwapBehavior::LimitedSwap,
        },
        ..translate::PodSettings::default()
    }
}

/// Where credentials for registries come from, besides pull secrets.
pub fn credentials(config: &Config) -> runtime::NodeCredentials {
    let file = config.image_credential_provider_config_file.clone();
    runtime::NodeCredentials {
        docker_config: config.docker_config_file.clone(),
        providers: file.zip(config.image_credential_provider_bin_dir.clone()),
    }
}

/// How the manifests directory is read.
pub fn source(config: &Config) -> source::Settings {
    let manifests = &config.manifests;
    source::Settings {
        path: manifests.path.clone(),
        rescan_interval: manifests.rescan_interval.0,
        writers: if manifests.allow_unprivileged_owners {
            Writers::Anyone
        } else {
            Writers::RootOnly
        },
    }
}

/// What sets get that say nothing else.
pub fn set_defaults(config: &Config) -> SetDefaults {
    let waits = &config.crash_loop_back_off;
    let (initial, max, reset): (Duration, Duration, Duration) =
        (waits.initial.0, waits.max.0, waits.reset.0);
    SetDefaults {
        back_off: BackOff {
            initial,
            max,
            reset,
        },
        rollout: RolloutDefaults {
            rollback: config.rollback.enabled,
            deadline: config.rollback.progress_deadline.0,
            max_restarts: config.rollback.max_restarts,
        },
    }
}

/// What the configuration gives every set, as it changes.
pub(super) fn follow_defaults(
    tasks: &mut Tasks,
    channels: &Channels,
    config: &Config,
) -> watch::Receiver<SetDefaults> {
    let defaults = watch::Sender::new(set_defaults(config));
    let newest = defaults.subscribe();
    let mut loaded = channels.loaded.subscribe();
    tasks.start("set defaults", async move {
        while loaded.changed().await.is_ok() {
            let value = set_defaults(&loaded.borrow_and_update().config);
            defaults.send_if_modified(|old| std::mem::replace(old, value) != value);
        }
    });
    newest
}

/// Takes over what a newer configuration changes without a restart.
pub async fn follow(
    old: &Config,
    config: &Arc<Config>,
    blocking: &Blocking,
    node: &watch::Sender<Arc<NodeFacts>>,
    of_source: &watch::Sender<source::Settings>,
) {
    for field in config::live_changes(old, config) {
        info!(field, "the configuration changed");
    }
    for field in config::needs_restart(old, config) {
        warn!(
            field,
            "the configuration changed; it takes effect when the agent is started again"
        );
    }
    name_unfollowed(config);
    let read = Arc::clone(config);
    let facts = blocking.run(Lane::own("the node's facts"), move |_| node_facts(&read));
    match facts.await {
        Err(error) => warn!(%error, "the node's facts could not be read again"),
        Ok(Ok(mut facts)) => {
            // The name is the identity of everything that runs; it changes with a restart only.
            facts.name.clone_from(&node.borrow().name);
            node.send_if_modified(|old| {
                let changed = **old != facts;
                if changed {
                    *old = Arc::new(facts);
                }
                changed
            });
        }
        Ok(Err(error)) => warn!(%error, "the node's facts could not be read again"),
    }
    let settings = source(config);
    of_source.send_if_modified(|old| {
        let changed = *old != settings;
        *old = settings;
        changed
    });
}
