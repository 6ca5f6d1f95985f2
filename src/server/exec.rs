//! Commands in containers: which container is meant, the runtime's streams, and the WebSocket that
//! kubectl's remote commands go over since 1.31.
//!
//! Everything that can be refused is refused before the connection is upgraded, so that the client
//! reads why. Follows kube-apiserver (staging/src/k8s.io/apiserver/pkg/util/proxy) and kubelet
//! (staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand).
//!
//! Differs: SPDY, which kubectl spoke before 1.31, is not served.

mod bridge;
mod websocket;

use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::connections::Permit;
use super::failure::Failure;
use super::request::ExecQuery;
use super::sessions::Starter;
use super::{Api, container};
use crate::api::ObjectKey;
use crate::model::{ContainerId, NodeView};
use crate::runtime::{Exec, Input, Output, StreamError};

/// Runs commands in containers; `runtime` knows how.
pub trait ExecSource: Send + Sync {
    /// Starts a command and returns the ends of its streams; dropping them breaks it off.
    fn exec(
        &self,
        container: &ContainerId,
        exec: &Exec,
    ) -> BoxFuture<'static, Result<(Input, Output), StreamError>>;
}

/// Answers an exec request and starts the session that follows it.
pub(super) async fn exec(
    api: &Api,
    starter: &Starter,
    key: &ObjectKey,
    query: &ExecQuery,
    mut request: Request,
    permit: Option<Permit>,
) -> Result<Response, Failure> {
    let view = api.view.borrow().clone();
    let id = resolve(&view, key, query, (api.clock)())?;
    let offer = websocket::offer(&request)?;
    let opened = api.exec.exec(&id, &query.exec).await;
    let (input, output) = opened.map_err(|error| Failure::internal(error.to_string()))?;
    let upgrade = hyper::upgrade::on(&mut request);
    let (protocol, cancel) = (offer.protocol, api.cancel.clone());
    let session = async move {
        // Without an upgrade the client has gone already.
        if let Ok(upgraded) = upgrade.await {
            let socket = websocket::socket(upgraded).await;
            bridge::bridge(socket, protocol, (input, output), cancel).await;
        }
        drop(permit);
    };
    starter.start(session).await;
    Ok(offer.accept())
}

/// Finds the running container that is meant.
fn resolve(
    view: &NodeView,
    key: &ObjectKey,
    query: &ExecQuery,
    now: Timestamp,
) -> Result<ContainerId, Failure> {
    let report = container::pod(view, key)?;
    let name = container::name(report, query.container.as_deref())?;
    let all = report.have.iter().flat_map(|have| &have.containers);
    let running = all.filter(|c| c.name.as_str() == name && c.is_running());
    let newest = running.max_by_key(|c| (c.attempt, c.created_at));
    newest.map(|found| found.id.clone()).ok_or_else(|| {
        let state = container::state(view, report, &name, now);
        let waiting = state.waiting.and_then(|waiting| waiting.reason);
        let word = waiting.or(state.terminated.and_then(|ended| ended.reason));
        let word = word.unwrap_or_else(|| "ContainerCreating".to_owned());
        let pod = &key.name;
        Failure::bad_request(format!(
            "container \"{name}\" in pod \"{pod}\" is not running: {word}"
        ))
    })
}
