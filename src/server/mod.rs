//! The agent's API on its socket: Kubernetes paths and objects, health, metrics, and the agent's
//! own status.
//!
//! It reads handles and requests and starts nothing: everything it answers is derived from the
//! newest view at the moment of the question. It follows kube-apiserver where kubectl can tell the
//! difference: paths, tables, selectors, watches and errors.

mod discovery;
mod failure;
mod log;
mod objects;
mod own;
mod request;
mod selector;
mod socket;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod version;
mod watch;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub use failure::Failure;
pub use log::{LogLine, LogLines, LogRequest, LogSource};
pub use own::{Explanation, NodeReport, PodReportLine, Pull, SetExplanation, SetLine};
pub use socket::{BindError, bind};

use crate::api::ObjectKey;
use crate::model::NodeView;
use request::{Call, List};
use table::Form;

/// How long requests that run when the agent stops may take to end.
const DRAIN: Duration = Duration::from_millis(500);

/// What the server answers from.
#[derive(Clone)]
pub struct Api {
    /// The newest view.
    pub view: tokio::sync::watch::Receiver<Arc<NodeView>>,
    /// Who reads container logs.
    pub logs: Arc<dyn LogSource>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// Ends the server, and with it watches and followed logs.
    pub cancel: CancellationToken,
}

/// Serves the API until it is cancelled; requests that then run have half a second to end.
///
/// # Errors
///
/// When the socket cannot be accepted from any more.
pub async fn serve(listener: UnixListener, api: Api) -> io::Result<()> {
    let cancel = api.cancel.clone();
    let router = Router::new().fallback(handle).with_state(api);
    let server = axum::serve(listener, router);
    let drained = cancel.clone();
    let server = server.with_graceful_shutdown(async move { drained.cancelled().await });
    tokio::select! {
        ended = server.into_future() => ended,
        () = async { cancel.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

async fn handle(
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: Request,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return Failure::bad_request(error.body_text()).into_response(),
    };
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok());
    let include = query
        .iter()
        .find(|(name, _)| name == "includeObject")
        .map(|(_, v)| v.as_str());
    let form = Form::of(accept.unwrap_or_default(), include);
    match request::parse(request.method(), request.uri().path(), &query) {
        Ok(call) => api
            .answer(call, form)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(failure) => failure.into_response(),
    }
}

impl Api {
    async fn answer(&self, call: Call, form: Form) -> Result<Response, Failure> {
        let view = self.view.borrow().clone();
        let now = (self.clock)();
        Ok(match call {
            Call::Live => "ok".into_response(),
            Call::Ready => ready(&view),
            Call::Metrics => {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                (kind, (self.metrics)()).into_response()
            }
            Call::Version => Json(version::version()).into_response(),
            Call::Discovery(which) => Json(discovery::document(which)).into_response(),
            Call::List(list) => self.list(&view, list, form),
            Call::Get(resource, key) => {
                let mut items = objects::list(&view, resource, now).into_iter();
                let item = items.find(|item| item.key() == key);
                let item = item.ok_or_else(|| Failure::no_object(resource, &key.name))?;
                let version = resource_version(&view);
                Json(match form {
                    Form::Plain => item.to_value(&version),
                    Form::Table(include) => table::table(resource, &[item], include, &version, now),
                })
                .into_response()
            }
            Call::Log(key, query) => log::log(self, &key, &query).await?,
            Call::Status => Json(own::report(&view, now)).into_response(),
            Call::Explain(key) => Json(self.explain(&view, &key, now)?).into_response(),
        })
    }

    /// The items of a list request.
    fn select(&self, view: &NodeView, list: &List) -> Vec<objects::Item> {
        let mut items = objects::list(view, list.resource, (self.clock)());
        items.retain(|item| {
            let namespace = item.metadata().namespace.as_deref().unwrap_or_default();
            list.namespace
                .as_deref()
                .is_none_or(|wanted| wanted == namespace)
                && list.selector.matches(item)
        });
        items
    }

    fn list(&self, view: &NodeView, list: List, form: Form) -> Response {
        if let Some(watch) = list.watch.clone() {
            let events = watch::events(self.clone(), list, &watch, form);
            let kind = [(header::CONTENT_TYPE, "application/json")];
            let events = events.map(|event: Result<_, Infallible>| event);
            return (kind, Body::from_stream(events)).into_response();
        }
        let items = self.select(view, &list);
        let version = resource_version(view);
        Json(match form {
            Form::Table(include) => {
                table::table(list.resource, &items, include, &version, (self.clock)())
            }
            Form::Plain => {
                let items: Vec<Value> = items.iter().map(|i| i.to_value(&version)).collect();
                json!({
                    "kind": format!("{}List", list.resource.kind()),
                    "apiVersion": list.resource.group_version(),
                    "metadata": {"resourceVersion": version},
                    "items": items,
                })
            }
        })
        .into_response()
    }

    fn explain(
        &self,
        view: &NodeView,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Result<Explanation, Failure> {
        let missing = || Failure::no_object(objects::Resource::DaemonSets, &key.name);
        own::explain(view, key, now).ok_or_else(missing)
    }
}

fn resource_version(view: &NodeView) -> String {
    view.version.max(1).to_string()
}

fn ready(view: &NodeView) -> Response {
    let why = match &view.runtime {
        Some(reason) => reason.to_string(),
        None if !view.ready => "the manifests are not read yet".to_owned(),
        None => return "ok".into_response(),
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {why}\n"),
    )
        .into_response()
}
