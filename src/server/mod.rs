//! The agent's API on its socket: Kubernetes paths and objects, health, metrics, and the agent's
//! own status.
//!
//! It reads handles and requests and starts nothing: everything it answers is derived from the
//! newest view at the moment of the question. It follows kube-apiserver where kubectl can tell the
//! difference: paths, tables, selectors, watches and errors.

mod container;
mod discovery;
mod exec;
mod failure;
mod log;
mod objects;
mod own;
mod request;
mod rollout;
mod selector;
mod sessions;
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
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use exec::ExecSource;
pub use failure::Failure;
pub use log::{LogLine, LogLines, LogRequest, LogSource};
pub use own::{Explanation, NodeReport, PodReportLine, Pull, SetExplanation, SetLine};
pub use rollout::{Progress, RevisionLine, Rollout};
pub use socket::{BindError, bind};

use crate::api::ObjectKey;
use crate::model::{Command, EventLog, NodeView, Refusal};
use request::{Call, List};
use sessions::Starter;
use table::Form;

/// How long requests that run when the agent stops may take to end.
const DRAIN: Duration = Duration::from_millis(500);

/// Something a person asks for, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub command: Command,
    /// The answer: what was done, or why not.
    pub reply: oneshot::Sender<Result<String, Refusal>>,
}

/// What the server answers from.
#[derive(Clone)]
pub struct Api {
    /// The newest view.
    pub view: tokio::sync::watch::Receiver<Arc<NodeView>>,
    /// The events that are remembered.
    pub events: tokio::sync::watch::Receiver<Arc<EventLog>>,
    /// Who reads container logs.
    pub logs: Arc<dyn LogSource>,
    /// Who runs commands in containers.
    pub exec: Arc<dyn ExecSource>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who carries out what people ask for.
    pub requests: mpsc::Sender<Request>,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// Ends the server, and with it watches and followed logs.
    pub cancel: CancellationToken,
}

/// What requests are handled with.
#[derive(Clone)]
struct Server {
    api: Api,
    starter: Starter,
}

/// Serves the API until it is cancelled; requests and sessions that then run have half a second to
/// end.
///
/// # Errors
///
/// When the socket cannot be accepted from any more.
pub async fn serve(listener: UnixListener, api: Api) -> io::Result<()> {
    let cancel = api.cancel.clone();
    let (starter, sessions) = sessions::sessions();
    let server = Server { api, starter };
    let router = Router::new().fallback(handle).with_state(server);
    let server = axum::serve(listener, router);
    let drained = cancel.clone();
    let server = server.with_graceful_shutdown(async move { drained.cancelled().await });
    let ended = async { tokio::join!(server.into_future(), sessions.run(&cancel)).0 };
    tokio::select! {
        ended = ended => ended,
        () = async { cancel.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

async fn handle(
    State(Server { api, starter }): State<Server>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: axum::extract::Request,
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
        Ok(Call::Exec(key, query)) => exec::exec(&api, &starter, &key, &query, request)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Ok(call) => api
            .answer(call, form)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(failure) => failure.into_response(),
    }
}

impl Api {
    async fn answer(&self, call: Call, form: Form) -> Result<Response, Failure> {
        let seen = self.seen();
        let view = &*seen.view;
        let now = (self.clock)();
        Ok(match call {
            Call::Live => "ok".into_response(),
            Call::Ready => ready(view),
            Call::Metrics => {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                (kind, (self.metrics)()).into_response()
            }
            Call::Version => Json(version::version()).into_response(),
            Call::Discovery(which) => Json(discovery::document(which)).into_response(),
            Call::List(list) => self.list(&seen, list, form),
            Call::Get(resource, key) => {
                let mut items = objects::list(&seen, resource, now).into_iter();
                let item = items.find(|item| item.key() == key);
                let item = item.ok_or_else(|| Failure::no_object(resource, &key.name))?;
                let version = seen.version(resource).to_string();
                Json(match form {
                    Form::Plain => item.to_value(&version),
                    Form::Table(include) => table::table(resource, &[item], include, &version, now),
                })
                .into_response()
            }
            Call::Log(key, query) => log::log(self, &key, &query).await?,
            // Answered with the request in hand, which becomes a connection.
            Call::Exec(..) => return Err(Failure::no_path()),
            Call::Status => Json(own::report(view, now)).into_response(),
            Call::Explain(key) => Json(self.explain(view, &key, now)?).into_response(),
            Call::Rollout(key) => {
                let missing = || Failure::no_object(objects::Resource::DaemonSets, &key.name);
                let rollout = rollout::rollout(view, &key, now).ok_or_else(missing)?;
                Json(rollout).into_response()
            }
            Call::Command(command) => Json(done(&self.ask(command).await?)).into_response(),
        })
    }

    /// Has something done, and waits until that is decided.
    async fn ask(&self, command: Command) -> Result<String, Failure> {
        let (reply, answer) = oneshot::channel();
        let ended = || Failure::internal("the agent is ending");
        let request = Request { command, reply };
        self.requests.send(request).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?.map_err(Failure::refused)
    }

    /// The newest of everything.
    fn seen(&self) -> objects::Seen {
        objects::Seen {
            view: self.view.borrow().clone(),
            events: self.events.borrow().clone(),
        }
    }

    /// The items of a list request.
    fn select(&self, seen: &objects::Seen, list: &List) -> Vec<objects::Item> {
        let mut items = objects::list(seen, list.resource, (self.clock)());
        items.retain(|item| {
            let namespace = item.metadata().namespace.as_deref().unwrap_or_default();
            list.namespace
                .as_deref()
                .is_none_or(|wanted| wanted == namespace)
                && list.selector.matches(item)
        });
        items
    }

    fn list(&self, seen: &objects::Seen, list: List, form: Form) -> Response {
        if let Some(watch) = list.watch.clone() {
            let events = watch::events(self.clone(), list, &watch, form);
            let kind = [(header::CONTENT_TYPE, "application/json")];
            let events = events.map(|event: Result<_, Infallible>| event);
            return (kind, Body::from_stream(events)).into_response();
        }
        let items = self.select(seen, &list);
        let version = seen.version(list.resource).to_string();
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

/// The `Status` of something that was done.
fn done(message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "message": message,
    })
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
