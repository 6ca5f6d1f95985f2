//! The connection to the runtime: one lazy HTTP/2 channel over its unix socket, which reconnects by
//! itself after the runtime restarts, and one method a call, each with its deadline.
//!
//! Never decides anything and never repeats a call. The deadlines are kubelet's: runtimeRequestTimeout,
//! doubled for RunPodSandbox, added to the timeout of StopContainer and ExecSync.

mod calls;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

use super::containerd;
use super::error::Error;
use crate::cri;
use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;

/// Answers may be this long, as kubelet allows: lists of a node with many pods are.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The table of deadlines, all made of the configuration's `runtimeRequestTimeout`. PullImage has
/// none: it is dropped when nobody wants it any more.
#[derive(Debug, Clone, Copy)]
struct Deadlines(Duration);

impl Deadlines {
    /// Handshake, lists, opening logs anew: done at once.
    fn list(self) -> Duration {
        self.0.min(Duration::from_secs(10))
    }

    /// Everything not named otherwise.
    fn call(self) -> Duration {
        self.0
    }

    /// RunPodSandbox sets up a network, too.
    fn run_sandbox(self) -> Duration {
        self.0.saturating_mul(2)
    }

    /// Calls that carry a timeout of their own have it and the usual time.
    fn beyond(self, timeout: Duration) -> Duration {
        timeout.saturating_add(self.0)
    }
}

/// What the runtime says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeFacts {
    /// Its name, for example `containerd`.
    pub name: String,
    /// Its version, for example `1.6.20`.
    pub version: String,
    /// How it makes cgroups, where it tells (containerd 1.6 does not).
    pub cgroup_driver: Option<cri::CgroupDriver>,
    /// Whether the default handler can mount read-only recursively.
    pub recursive_read_only_mounts: bool,
    /// Whether the default handler has user namespaces.
    pub user_namespaces: bool,
    /// Whether strict supplemental groups are honoured.
    pub supplemental_groups_policy: bool,
}

impl RuntimeFacts {
    /// Whether it is containerd, whose own services are then used for events and progress.
    #[must_use]
    pub fn is_containerd(&self) -> bool {
        containerd::is(&self.name)
    }
}

/// A cheap handle on the connection; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    deadlines: Deadlines,
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

/// The socket's path in a `unix:///path` endpoint; a bare absolute path will do, as for crictl.
fn socket_path(endpoint: &str) -> Result<PathBuf, Error> {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(Error::Endpoint {
            endpoint: endpoint.to_owned(),
        })
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {} s",
            deadline.as_secs()
        ))),
    }
}

impl Client {
    /// Makes a client of an endpoint without connecting; the first call connects. `request_timeout`
    /// is what a call is given that is not known to take longer. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When the endpoint is not a unix socket's.
    pub fn new(endpoint: &str, request_timeout: Duration) -> Result<Self, Error> {
        let path = socket_path(endpoint)?;
        // The address is never resolved: the connector knows where to go.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(
            tower::service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            }),
        );
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            images: ImageServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            channel,
            deadlines: Deadlines(request_timeout),
        })
    }

    /// The channel, for containerd's own services.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The runtime's name and version.
    pub(super) async fn version(&self) -> Result<cri::VersionResponse, Error> {
        let request = cri::VersionRequest {
            version: "v1".into(),
        };
        within(self.deadlines.list(), self.runtime.clone().version(request))
            .await
            .map_err(Error::Version)
    }

    /// What the runtime tells of itself beside CRI.
    pub(super) async fn info(&self) -> Result<HashMap<String, String>, Error> {
        Ok(self.status(true).await?.info)
    }

    async fn status(&self, verbose: bool) -> Result<cri::StatusResponse, Error> {
        let request = cri::StatusRequest { verbose };
        within(self.deadlines.call(), self.runtime.clone().status(request))
            .await
            .map_err(Error::Features)
    }

    /// The runtime's condition `NetworkReady` where it is false.
    pub(super) async fn network_not_ready(&self) -> Result<Option<cri::RuntimeCondition>, Error> {
        let status = self.status(false).await?.status.unwrap_or_default();
        let is_network = |c: &cri::RuntimeCondition| c.r#type == "NetworkReady" && !c.status;
        Ok(status.conditions.into_iter().find(is_network))
    }

    /// Asks the runtime who it is and what it can do.
    pub(super) async fn handshake(&self) -> Result<RuntimeFacts, Error> {
        let version = self.version().await?;
        let status = self.status(false).await?;
        let request = cri::RuntimeConfigRequest {};
        let config = within(
            self.deadlines.list(),
            self.runtime.clone().runtime_config(request),
        )
        .await
        .map_err(Error::Features);
        let config = match config {
            Ok(config) => config.linux,
            Err(error) if error.is_unimplemented() => None,
            Err(error) => return Err(error),
        };
        let handler = status
            .runtime_handlers
            .into_iter()
            .find(|h| h.name.is_empty())
            .and_then(|h| h.features)
            .unwrap_or_default();
        Ok(RuntimeFacts {
            name: version.runtime_name,
            version: version.runtime_version,
            cgroup_driver: config.map(|c| c.cgroup_driver()),
            recursive_read_only_mounts: handler.recursive_read_only_mounts,
            user_namespaces: handler.user_namespaces,
            supplemental_groups_policy: status
                .features
                .is_some_and(|f| f.supplemental_groups_policy),
        })
    }
}

/// The longest time in seconds that Go's `time.Duration` holds: the runtime counts nanoseconds in 64
/// bits, and takes what is longer for a time that is over.
const LONGEST_SECONDS: i64 = i64::MAX / 1_000_000_000;

fn whole_seconds(time: Duration) -> i64 {
    let seconds = time
        .as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0));
    i64::try_from(seconds).map_or(LONGEST_SECONDS, |seconds| seconds.min(LONGEST_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_unix_sockets() {
        let path = |endpoint| socket_path(endpoint).ok();
        assert_eq!(
            path("unix:///run/x.sock"),
            Some(PathBuf::from("/run/x.sock"))
        );
        assert_eq!(path("/run/x.sock"), Some(PathBuf::from("/run/x.sock")));
        assert_eq!(path("unix://x.sock"), None);
        assert_eq!(path("tcp://127.0.0.1:1"), None);
        assert_eq!(path(""), None);
    }

    #[test]
    fn deadlines_follow_the_request_timeout() {
        let seconds = Duration::from_secs;
        let usual = Deadlines(seconds(120));
        assert_eq!(usual.list(), seconds(10));
        assert_eq!(usual.call(), seconds(120));
        assert_eq!(usual.run_sandbox(), seconds(240));
        assert_eq!(usual.beyond(seconds(30)), seconds(150));
        assert_eq!(Deadlines(seconds(3)).list(), seconds(3));
        assert_eq!(usual.beyond(Duration::MAX), Duration::MAX);
    }

    #[tokio::test]
    async fn a_runtime_that_never_answers_is_given_up_in_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("silent.sock");
        let _silent = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let endpoint = format!("unix://{}", socket.display());
        let client = Client::new(&endpoint, Duration::from_millis(50)).expect("a client");
        let error = client.version().await.expect_err("no answer");
        let code = error.status().map(Status::code);
        assert_eq!(code, Some(tonic::Code::DeadlineExceeded));
    }

    #[test]
    fn timeouts_are_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        for long in [260_000_000_000, u64::MAX].map(Duration::from_secs) {
            let seconds = whole_seconds(long);
            assert!(seconds.checked_mul(1_000_000_000).is_some(), "{seconds}");
        }
    }
}
