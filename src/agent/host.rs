//! What pods are translated with: the node's facts and what the runtime says it can do, asked again
//! whenever the runtime came back, because another version may have taken over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::cgroups::keep_bounded;
use super::reporter::Reporter;
use crate::model::{NodeFacts, Reason};
use crate::runtime::slices::{RUN_TIME_UNITS, keep_from_shutdown as keep_slices};
use crate::runtime::translate::{CgroupDriver, Host, RuntimeFeatures};
use crate::runtime::{Hint, Runtime, RuntimeFacts, keep_network};

/// How often a runtime that does not answer is asked again.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// Keeps what depends on the host current until cancelled: the runtime's facts, whether it has a
/// network for pods, and the cgroups above those of pods.
pub async fn keep_host(
    runtime: Runtime,
    node: watch::Receiver<Arc<NodeFacts>>,
    hints: broadcast::Sender<Hint>,
    reporter: Reporter,
    cancel: CancellationToken,
) {
    let tell = |trouble: Option<&Reason>| reporter.report_network(trouble);
    tokio::join!(
        keep_facts(&runtime, node, hints.subscribe(), &reporter, &cancel),
        keep_network(&runtime, tell, hints.clone(), cancel.clone()),
        keep_bounded(&runtime, reporter.subscribe(), cancel.clone()),
    );
}

/// Keeps the runtime's host facts current; publishes the runtime's name and version as
/// `containerd://1.6.20`.
async fn keep_facts(
    runtime: &Runtime,
    mut node: watch::Receiver<Arc<NodeFacts>>,
    mut hints: broadcast::Receiver<Hint>,
    reporter: &Reporter,
    cancel: &CancellationToken,
) {
    let mut known = None;
    loop {
        match runtime.handshake().await {
            Ok(facts) if known.as_ref() == Some(&facts) => {}
            Ok(facts) => {
                let text = format!("{}://{}", facts.name, facts.version);
                info!(runtime = %text, "the container runtime answered");
                reporter.report_runtime_version(text);
                known = Some(facts);
            }
            Err(error) => debug!(%error, "the container runtime does not answer"),
        }
        let host = runtime.host();
        let facts = Arc::clone(&node.borrow_and_update());
        runtime.set_host(updated(&host, facts, known.as_ref()));
        let retry = async {
            if known.is_none() {
                tokio::time::sleep(UNREACHABLE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            Ok(()) = node.changed() => {}
            () = everything(&mut hints) => {}
            () = retry => {}
        }
    }
}

async fn everything(hints: &mut broadcast::Receiver<Hint>) {
    loop {
        match hints.recv().await {
            Ok(Hint::All) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The host facts with newer ones of node and runtime. A runtime that does not tell its cgroup
/// driver (containerd 1.6) leaves what was found at the start.
pub fn updated(host: &Host, node: Arc<NodeFacts>, runtime: Option<&RuntimeFacts>) -> Host {
    let mut host = Host {
        node,
        ..host.clone()
    };
    if let Some(runtime) = runtime {
        host.cgroup_driver = runtime.cgroup_driver.unwrap_or(host.cgroup_driver);
        host.features = RuntimeFeatures {
            recursive_read_only: runtime.recursive_read_only_mounts,
            user_namespaces: runtime.user_namespaces,
            supplemental_groups_policy: runtime.supplemental_groups_policy,
            image_volumes: has_image_volumes(runtime),
            ..host.features
        };
    }
    host
}

/// Image volumes came with containerd 2.1; the protocol has no word for it.
fn has_image_volumes(runtime: &RuntimeFacts) -> bool {
    let mut numbers = runtime
        .version
        .trim_start_matches('v')
        .split(['.', '-', '~', '+']);
    let mut next = || {
        numbers
            .next()
            .and_then(|number| number.parse::<u32>().ok())
            .unwrap_or(0)
    };
    runtime.is_containerd() && (next(), next()) >= (2, 1)
}

/// Has pods outlast the beginning of the machine's shutdown where systemd has their cgroups.
pub fn keep_from_shutdown(cgroup_root: &str) {
    if first_guess() != CgroupDriver::Systemd {
        return;
    }
    if let Err(error) = keep_slices(Path::new(RUN_TIME_UNITS), cgroup_root) {
        warn!(%error, "systemd may stop pods out of their order when the machine goes down");
    }
}

/// The driver to begin with: a host whose cgroups systemd owns wants them named as slices.
#[must_use]
pub fn first_guess() -> CgroupDriver {
    if Path::new(RUN_TIME_UNITS).is_dir() {
        CgroupDriver::Systemd
    } else {
        CgroupDriver::Cgroupfs
    }
}
