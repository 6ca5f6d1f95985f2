//! Whether pods can have a network, as CRI's condition `NetworkReady` says.
//!
//! As kubelet v1.36 (`pkg/kubelet/runtime.go`, `pod_workers.go`): while it is false no sandbox is made
//! on the pod network, the node is not ready, and what waits starts as soon as it is true. The
//! runtime sends no event for it, so it is asked: before each such sandbox, often while it is false,
//! and now and then otherwise.

use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::Error;
use super::{Hint, Runtime};
use crate::cri;
use crate::model::Reason;

/// How often a network that is not ready is asked for.
const AWAITED: Duration = Duration::from_millis(500);
/// How often one that is ready is.
const USUAL: Duration = Duration::from_secs(10);

impl Runtime {
    /// Asks the runtime why pods can have no network now; `None` when they can.
    pub(super) async fn network_trouble(&self) -> Result<Option<Reason>, Error> {
        let condition = self.inner.client.network_not_ready().await?;
        let trouble = match &condition {
            None => None,
            Some(condition) => {
                let unheeded = self.unheeded_configuration().await;
                Some(not_ready(condition, unheeded.as_deref()))
            }
        };
        self.inner.network.send_if_modified(|known| {
            let changed = *known != trouble;
            known.clone_from(&trouble);
            changed
        });
        Ok(trouble)
    }
}

/// Tells whether there is a network for pods whenever that is asked, and sends [`Hint::Network`] when
/// there is one again, until cancelled.
pub async fn keep_network(
    runtime: &Runtime,
    tell: impl Fn(Option<&Reason>),
    hints: broadcast::Sender<Hint>,
    cancel: CancellationToken,
) {
    let mut known = runtime.inner.network.subscribe();
    let mut is_down = false;
    loop {
        // A worker may have found it down and up again meanwhile.
        let was_down = is_down || known.borrow_and_update().is_some();
        let asked = tokio::select! {
            () = cancel.cancelled() => return,
            asked = runtime.network_trouble() => asked,
        };
        // A runtime that does not answer is the inventory's matter.
        if let Ok(trouble) = asked {
            tell(trouble.as_ref());
            match &trouble {
                Some(reason) if !was_down => warn!("{}", reason.message),
                None if was_down => {
                    info!("the runtime has a network for pods");
                    // Nobody listening is no error: the agent is starting or ending.
                    hints.send(Hint::Network).ok();
                }
                _ => {}
            }
            is_down = trouble.is_some();
        }
        let pause = if is_down { AWAITED } else { USUAL };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            Ok(()) = known.changed() => {}
        }
    }
}

/// kubelet's words for it, and what to do.
fn not_ready(condition: &cri::RuntimeCondition, unheeded: Option<&Path>) -> Reason {
    let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let remedy = match unheeded {
        None => "install a network plugin and its configuration, on Debian the package \
                 containernetworking-plugins and a file in /etc/cni/net.d"
            .to_owned(),
        Some(path) => format!(
            "there is a valid configuration, {}, which the runtime does not take up: where the \
             directory was renamed or made anew, containerd looks at it again only after a restart \
             (systemctl restart containerd)",
            path.display()
        ),
    };
    let message = format!(
        "container runtime network not ready: NetworkReady=false reason:{} message:{}; {remedy}",
        in_one_line(&condition.reason),
        in_one_line(&condition.message),
    );
    Reason::new(Reason::NETWORK_NOT_READY, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_a_configuration_or_a_restart() {
        let condition = cri::RuntimeCondition {
            r#type: "NetworkReady".to_owned(),
            status: false,
            reason: "NetworkPluginNotReady".to_owned(),
            message: "cni plugin\nnot initialized".to_owned(),
        };
        let said = |unheeded: Option<&str>| not_ready(&condition, unheeded.map(Path::new)).message;
        let kubelets = "container runtime network not ready: NetworkReady=false \
                        reason:NetworkPluginNotReady message:cni plugin not initialized; ";
        let message = said(None);
        assert!(message.starts_with(kubelets), "{message}");
        assert!(message.contains("containernetworking-plugins"), "{message}");
        let message = said(Some("/etc/cni/net.d/10-a.conflist"));
        assert!(message.starts_with(kubelets), "{message}");
        assert!(
            message.contains("/etc/cni/net.d/10-a.conflist"),
            "{message}"
        );
        assert!(message.contains("restart containerd"), "{message}");
    }
}
